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
import type { TopologyStore } from "../topology/store.ts";
import { RecordedKeys } from "./recorded-keys.ts";

/** `down`: Redis does not answer; the write has to mark the server's fence instead. */
export type Recording = "recorded" | "down";

interface Batch {
  readonly generation: number;
  readonly points: Map<number, string[]>;
  readonly answered: Promise<string | null>;
}

export class Recorder {
  readonly #store: TopologyStore;
  readonly #recorded: RecordedKeys;
  readonly #turn: () => Promise<void>;
  #batch: Batch | undefined;

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
    let id: string | null;
    try {
      id = await this.#add(view.document.generation, point, key);
    } catch (error) {
      if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
      session.redisFailed();
      return "down";
    }
    if (id !== view.document.id) throw new Retry();
    // the view may have changed since the reply, and the memory with it
    if (session.view === view) this.#recorded.add(key, view.document.epoch);
    return "recorded";
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

  #add(generation: number, point: number, key: string): Promise<string | null> {
    if (this.#batch?.generation !== generation) this.#batch = this.#newBatch(generation);
    const { points, answered } = this.#batch;
    const keys = points.get(point);
    if (keys === undefined) points.set(point, [key]);
    else keys.push(key);
    return answered;
  }

  #newBatch(generation: number): Batch {
    const points = new Map<number, string[]>();
    const answered = this.#turn().then(() => {
      if (this.#batch === batch) this.#batch = undefined;
      return this.#store.record(
        generation,
        Array.from(points, ([point, keys]) => ({ point, keys })),
      );
    });
    const batch = { generation, points, answered };
    return batch;
  }
}

function endOfTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
