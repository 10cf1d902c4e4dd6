/**
 * Recording (docs/protocol.md): a key's entry in its point's set is acknowledged by Redis *before* its write is sent.
 * Sent together, another client could read the value while a copier that has just read the set misses the key.
 *
 * All keys of one tick travel in one script call, which answers the document's id: another id than the view's means that nothing was
 * written yet, so the operation begins again under the new one.
 */
import { isRingshiftError } from "../errors.ts";
import { Retry } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import type { PointEntries, TopologyStore } from "../topology/store.ts";
import { RecordedKeys } from "./recorded-keys.ts";

/** `down`: Redis does not answer; the write has to mark the server's fence instead. */
export type Recording = "recorded" | "down";

/** Told what Redis says of the batch that its key went in. */
export interface Waiter {
  /** @param id of the document that Redis had then: another than the view's means that the entry does not count */
  listed(id: string | null): void;
  notListed(error: unknown): void;
}

interface Batch {
  readonly generation: number;
  readonly entries: PointEntries[];
  readonly answered: Promise<string | null>;
  readonly waiters: Waiter[];
}

/**
 * Calls of Redis under way at a time. Keys that come meanwhile wait for one of them to return and then go together: at most half a round trip
 * later, and in fewer calls.
 */
const MAX_CALLS = 2;

/** From so many keys on those of one point go together: fewer seldom have two, and a Map of them costs more than a set's name sent twice. */
const GROUPED_FROM = 64;

export class Recorder {
  readonly #store: TopologyStore;
  readonly #recorded: RecordedKeys;
  readonly #turn: () => Promise<void>;
  #batch: Batch | undefined;
  /** Calls under way. */
  #calls = 0;
  #next: NextCall | undefined;

  /** @param turn resolves at the end of the present turn of the event loop: what is asked for until then is one batch */
  constructor(store: TopologyStore, recorded = new RecordedKeys(), turn = endOfTurn) {
    this.#store = store;
    this.#recorded = recorded;
    this.#turn = turn;
  }

  /** True when the key was recorded lately for its present point: its write may be sent at once. */
  knows(key: string, hash: number): boolean {
    return this.#recorded.has(key, hash);
  }

  /** @throws Retry when the document is not the view's any more */
  async record(session: Session, view: View, key: string, hash: number, point: number): Promise<Recording> {
    if (this.#recorded.has(key, hash)) return "recorded";
    if (session.redisDown) return "down";
    const askedAt = session.clock.now();
    let id: string | null;
    try {
      id = await this.#add(view.document.generation, point, key).answered;
    } catch (error) {
      if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
      if (!session.redisFailed(askedAt)) throw new Retry(error);
      return "down";
    }
    if (id !== view.document.id) throw new Retry();
    this.remember(session, view, key, hash);
    return "recorded";
  }

  /** `record` without a promise a key: the waiter is told. */
  list(view: View, key: string, point: number, waiter: Waiter): void {
    this.#add(view.document.generation, point, key).waiters.push(waiter);
  }

  /** The key was listed under the view, whose id Redis had. */
  remember(session: Session, view: View, key: string, hash: number): void {
    // the view may have changed since the reply, and the memory with it
    if (session.view === view) this.#recorded.add(key, hash, view.document.epoch);
  }

  /** Redis may have lost entries: record everything anew. */
  forget(): void {
    this.#recorded.clear();
  }

  viewChanged(before: View, after: View): void {
    const [from, to] = [before.document, after.document];
    const sameIndex = from.runId === to.runId && from.generation === to.generation;
    const steps = `${from.phase}${to.phase}`;
    const adjacent = to.epoch === from.epoch + 1;
    const sameRing = steps === "SS" && from.migrations === to.migrations;
    if (sameIndex && to.phase === "D" && from.phase !== "D" && from.migrations === to.migrations && after.diff) {
      this.#recorded.changed(to.epoch, after.diff);
    } else if (sameIndex && adjacent && steps === "FS" && to.migrations === from.migrations + 1 && before.diff) {
      this.#recorded.changed(to.epoch, before.diff); // the dead server's arcs have other owners at once
    } else if (!sameIndex || !adjacent || !(["SF", "FS", "DS"].includes(steps) || sameRing)) {
      this.#recorded.clear();
    }
  }

  #add(generation: number, point: number, key: string): Batch {
    if (this.#batch?.generation !== generation) this.#batch = this.#newBatch(generation);
    this.#batch.entries.push({ point, keys: [key] });
    return this.#batch;
  }

  #newBatch(generation: number): Batch {
    const entries: PointEntries[] = [];
    const waiters: Waiter[] = [];
    const answered = this.#send(generation, entries);
    answered.then(
      (id) => tell(waiters, (waiter) => waiter.listed(id)),
      (error: unknown) => tell(waiters, (waiter) => waiter.notListed(error)),
    );
    return { generation, entries, waiters, answered };
  }

  async #send(generation: number, entries: PointEntries[]): Promise<string | null> {
    await this.#turn();
    try {
      while (this.#calls >= MAX_CALLS) await this.#callEnded(); // one that failed fails this batch too, without a wait of its own
    } finally {
      if (this.#batch?.entries === entries) this.#batch = undefined; // nobody joins it any more, failed or not
    }
    this.#calls++;
    try {
      const id = await this.#store.record(generation, entries.length < GROUPED_FROM ? entries : byPoint(entries));
      this.#end((ended) => ended.resolve());
      return id;
    } catch (error) {
      this.#end((ended) => ended.reject(error));
      throw error;
    }
  }

  /** Settles as the next call that ends. */
  #callEnded(): Promise<void> {
    this.#next ??= nextCall();
    return this.#next.promise;
  }

  #end(settle: (next: NextCall) => void): void {
    this.#calls--;
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) settle(next);
  }
}

interface NextCall {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function nextCall(): NextCall {
  let [resolve, reject] = [() => {}, (_: unknown) => {}];
  const promise = new Promise<void>((onDone, onError) => {
    resolve = onDone;
    reject = onError;
  });
  return { promise, resolve, reject };
}

/** An error that a waiter throws must not keep the others from being told; it surfaces as uncaught. */
function tell(waiters: readonly Waiter[], how: (waiter: Waiter) => void): void {
  for (const waiter of waiters) {
    try {
      how(waiter);
    } catch (error) {
      process.nextTick(() => {
        throw error;
      });
    }
  }
}

function byPoint(entries: readonly PointEntries[]): PointEntries[] {
  const points = new Map<number, string[]>();
  for (const { point, keys } of entries) {
    const listed = points.get(point);
    if (listed === undefined) points.set(point, [...keys]);
    else listed.push(...keys);
  }
  return Array.from(points, ([point, keys]) => ({ point, keys }));
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
