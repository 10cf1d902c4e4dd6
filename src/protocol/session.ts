/**
 * A session: one process' part in the protocol. It holds the current view, reads and adopts documents, and knows which of its own
 * operations are still under way under older ones.
 *
 *   announcement, poll, changed id ─► look() ─► newer? adopt it   older? put ours back, or ours is void   same? confirmed again
 *
 * Clients, the copier and the coordinator all work through a session, so the rules are written once.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Recorder } from "../keyindex/recorder.ts";
import type { ItemLimits } from "../memcached/item-limits.ts";
import type { Transport } from "../memcached/transport.ts";
import { isNewer, supersedes, type TopologyDocument } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import type { Snapshot, TopologyStore } from "../topology/store.ts";
import type { Clock } from "./clock.ts";
import { Coalesced } from "./coalesced.ts";
import { UnderWay } from "./under-way.ts";
import { prepareRings, type Route, View } from "./view.ts";

/** Rule T: a document has to have been confirmed this recently when a flush is sent. */
export const GATE_MS = 2_000;
/** After a failed call Redis counts as down for this long; the poll tries it meanwhile. */
const REDIS_DOWN_MS = 1_000;

/** The run id of a document that no Redis has published; a run id is hexadecimal. */
const NO_REDIS = "none";

export interface SessionParts {
  readonly namespace: Namespace;
  readonly transport: Transport;
  readonly store: TopologyStore;
  readonly clock: Clock;
  readonly recorder: Recorder;
  /** What the servers take at most; without it values are sent unchecked. */
  readonly limits?: Pick<ItemLimits, "check" | "fits" | "evicts"> | undefined;
  /** The write of a key that Redis cannot list: `mark` the server as incompletely indexed (the default), or `reject` the write. */
  readonly whenIndexDown?: WhenIndexDown | undefined;
}

export type WhenIndexDown = "mark" | "reject";

/** What the protocol did in this process, in numbers that only grow. */
export interface SessionCounters {
  /** Keys this process moved by P. */
  pulled: number;
  /** Reads of keys that were moving at the time. */
  readsOfMovingKeys: number;
  /** Attempts begun again under rule V. */
  retries: number;
  ambiguousWrites: number;
  /** Values dropped because their new owner could not store them. */
  dropped: number;
}

export class Session {
  readonly namespace: Namespace;
  readonly transport: Transport;
  readonly store: TopologyStore;
  readonly clock: Clock;
  readonly recorder: Recorder;
  readonly limits: SessionParts["limits"];
  readonly whenIndexDown: WhenIndexDown;
  readonly counters: SessionCounters = { pulled: 0, readsOfMovingKeys: 0, retries: 0, ambiguousWrites: 0, dropped: 0 };
  /** Pulls under way in this process, by key: one pull per key and process. */
  readonly pulls = new Map<string, Promise<void>>();
  /** Servers whose fence was last seen with a ` u`. */
  readonly marked = new Set<string>();
  /** Servers whose fence was not the document's, and Redis could not make up for it: no write is sent there until it does (vouched). */
  readonly doubted = new Set<string>();
  /** Called after every change of view. */
  onView: (view: View, before: View) => void = () => {};
  /** Called when the epoch this session can acknowledge has grown. */
  onDrained: (epoch: number) => void = () => {};
  #view: View;
  #refusal: RingshiftError | undefined;
  #redisFailedAt = Number.NEGATIVE_INFINITY;
  readonly #underWay: UnderWay;
  readonly #looks: Coalesced<View>;

  constructor(parts: SessionParts, view: View) {
    this.namespace = parts.namespace;
    this.transport = parts.transport;
    this.store = parts.store;
    this.clock = parts.clock;
    this.recorder = parts.recorder;
    this.limits = parts.limits;
    this.whenIndexDown = parts.whenIndexDown ?? "mark";
    this.#view = view;
    this.#underWay = new UnderWay(parts.clock, () => this.onDrained(this.acknowledged));
    this.#looks = new Coalesced(() => this.#read());
  }

  get view(): View {
    return this.#view;
  }

  /**
   * Rule T, for what was decided under `view`. While Redis does not answer the gate lets through: the fences guard alone. A view that
   * another one has replaced is never confirmed again: a process that was stopped sends nothing more under it.
   */
  gateOpen(view = this.#view): boolean {
    if (view.unfenced) return true;
    const since = view === this.#view ? Math.max(view.confirmedAt, this.#redisFailedAt) : view.confirmedAt;
    return this.clock.now() - since < GATE_MS;
  }

  /** Redis has shown this view to be the present one within the gate's time: what is put on servers for others to find is put now. */
  isFresh(view: View): boolean {
    return view.unfenced || this.clock.now() - view.confirmedAt < GATE_MS;
  }

  /** Beside an open gate, without a look at the clock as a rule: it is open because Redis has shown the view, not because Redis does not answer. */
  isShown(view: View): boolean {
    return this.#redisFailedAt <= view.confirmedAt || this.isFresh(view);
  }

  /**
   * Rule V: the fence of a server that joins shows nothing to those who have not heard of it. While Redis does not show the document as a confirmed
   * one, it may have forgotten it, and they may have confirmed the one before.
   */
  needsOldFence({ view, node }: Route): boolean {
    return (view.joining?.has(node.name) ?? false) && !(view.confirmed && this.isFresh(view));
  }

  /** True shortly after a failed call: a recording need not wait for another one to fail. */
  get redisDown(): boolean {
    return this.clock.now() - this.#redisFailedAt < REDIS_DOWN_MS && this.#redisFailedAt > this.#view.confirmedAt;
  }

  /**
   * The document as Redis has it, by a read that begins after this call (callers at one time share it). Adopts it when it is newer,
   * puts the session's own back when Redis has forgotten it. Answers a view of what Redis had.
   * @throws RingshiftError REDIS_UNREACHABLE
   */
  look(): Promise<View> {
    return this.#looks.run();
  }

  /** As `look`, but a Redis that does not answer is no error: the fences guard alone then. */
  async refresh(): Promise<void> {
    if (this.#view.unfenced) return;
    try {
      await this.look();
    } catch (error) {
      if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    }
  }

  /** What a heartbeat or another script has shown; `document` undefined: still the session's own. */
  async observe(document: TopologyDocument | null | undefined, runId: string, askedAt: number): Promise<void> {
    await this.#seen({ document: document === undefined ? this.#view.document : document, runId }, askedAt);
  }

  /** This process cannot go on: the document is of a version that it does not know. Every later operation rejects with the error. */
  refuse(error: RingshiftError): void {
    this.#refusal = error;
  }

  /**
   * A call that began at `askedAt` has failed. False: that says nothing of Redis. After this process was stopped its timers fire before it
   * reads the answers that wait in its sockets; were the gate to open for that, what it had decided before would go out first.
   */
  redisFailed(askedAt: number): boolean {
    const now = this.clock.now();
    if (now - askedAt > GATE_MS) return false;
    this.#redisFailedAt = now;
    return true;
  }

  /** Begins an attempt: the view it works under, to be given back to `leave`. @throws RingshiftError after `refuse` */
  enter(): View {
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#view.inFlight++;
    return this.#view;
  }

  leave(view: View): void {
    view.inFlight--;
    if (view.inFlight === 0) this.#underWay.ended(view);
  }

  /** The newest epoch such that nothing that began under an older one is under way. */
  get acknowledged(): number {
    return this.#underWay.acknowledged(this.#view.document.epoch);
  }

  /**
   * Rule T: no later epoch is acknowledged for `ms`. What was sent over a connection that broke may still arrive (a stopped server has it in
   * its socket), and a pull that was given up leaves a placeholder behind.
   */
  linger(view: View, ms: number): void {
    this.#underWay.linger(view, ms);
  }

  /**
   * Whether this session's document, of a later epoch than Redis', is void: since it was published, or in the present run of Redis, the other one
   * has been confirmed. Then no server showed ours by its fence, and the others have gone on without it.
   */
  isVoid({ document, runId }: Snapshot): boolean {
    const own = this.#view.document;
    if (document === null || document.epoch >= own.epoch) return false;
    return supersedes(document, own) || (document.runId === runId && own.runId !== runId);
  }

  async #read(): Promise<View> {
    const askedAt = this.clock.now();
    let snapshot: Snapshot;
    try {
      snapshot = await this.store.read();
    } catch (error) {
      this.redisFailed(askedAt);
      throw error;
    }
    return this.#seen(snapshot, askedAt);
  }

  async #seen(snapshot: Snapshot, askedAt: number): Promise<View> {
    const { document, runId } = snapshot;
    const own = this.#view;
    this.marked.clear(); // Redis answers: from here on a reindex may take a mark away
    if (document?.id === own.document.id) {
      if (own.redisRunId !== runId) this.recorder.forget();
      own.redisRunId = runId;
      own.confirmedAt = Math.max(own.confirmedAt, askedAt);
      return own;
    }
    if (this.isVoid(snapshot)) return this.#seenVoid(snapshot, own);
    if (document === null || this.#holdsNewer(document, document.runId === runId)) {
      await this.#putBack(document?.id ?? null, runId, askedAt);
      if (document !== null) return new View(document, runId, askedAt);
      const present = await this.store.read(); // ours, or what somebody else has put back
      if (present.document !== null) return this.#seen(present, askedAt);
      throw new RingshiftError("REDIS_UNREACHABLE", "Redis keeps losing the topology document: what deletes it?");
    }
    const preparing = prepareRings(document);
    if (preparing !== undefined) {
      await preparing;
      if (this.#view !== own) return this.#seen(snapshot, askedAt); // another look was faster
    }
    const view = new View(document, runId, askedAt);
    this.#adopt(view);
    return view;
  }

  /**
   * Redis forgot: the newest document that anybody holds goes back, under its own, older run id, and so unconfirmed. A Redis that forgot
   * without a restart (FLUSHALL) has that very run id: then the document goes back as another one, of no Redis, for the index is lost too
   * and every client has to record anew.
   */
  async #putBack(found: string | null, runId: string, askedAt: number): Promise<void> {
    const own = this.#view;
    if (own.document.runId === runId) {
      const forgotten = { ...own.document, id: this.clock.randomId(), runId: NO_REDIS };
      if ((await this.store.publish(found, forgotten)) === "published")
        this.#adopt(new View(forgotten, runId, askedAt));
      return;
    }
    if ((await this.store.publish(found, own.document)) !== "published") return; // somebody's newer one is there by now
    this.recorder.forget();
    own.redisRunId = runId;
  }

  /** A look may be older than the document that this session has adopted meanwhile: so Redis is asked once more. */
  async #seenVoid({ document }: Snapshot, own: View): Promise<View> {
    const askedAt = this.clock.now();
    const again = await this.store.read();
    if (again.document?.id !== document?.id || !this.isVoid(again) || this.#view !== own) {
      return this.#seen(again, askedAt);
    }
    const view = new View(again.document!, again.runId, askedAt);
    const before = view.document.epoch - 1;
    this.#underWay.hold(before);
    this.#replace(view, before);
    return view;
  }

  /** Beside what counts in the present run only the epoch says which is newer: the cluster may have been begun anew, without a history. */
  #holdsNewer(document: TopologyDocument, confirmed: boolean): boolean {
    const own = this.#view.document;
    return confirmed ? own.epoch > document.epoch : isNewer(own, document);
  }

  #adopt(view: View): void {
    if (this.#holdsNewer(view.document, view.confirmed)) return; // another look was faster
    this.#replace(view, this.#view.document.epoch);
  }

  /** @param acknowledged the epoch that can be acknowledged until what is under way has ended */
  #replace(view: View, acknowledged: number): void {
    const before = this.#view;
    this.recorder.viewChanged(before, view);
    this.#view = view;
    this.#underWay.left(before, acknowledged);
    before.supersede();
    this.onView(view, before);
    this.onDrained(this.acknowledged);
  }
}
