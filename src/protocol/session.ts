/**
 * A session: one process' part in the protocol. It holds the current view, reads and adopts documents, and knows which of its own
 * operations are still under way under older ones.
 *
 *   announcement, poll, changed id ─► look() ─► newer? adopt it   older? put ours back   same? confirmed again
 *
 * Clients, the copier and the coordinator all work through a session, so the rules are written once.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Recorder } from "../keyindex/recorder.ts";
import type { ItemLimits } from "../memcached/item-limits.ts";
import type { Transport } from "../memcached/transport.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import type { Snapshot, TopologyStore } from "../topology/store.ts";
import type { Clock } from "./clock.ts";
import { Coalesced } from "./coalesced.ts";
import { View } from "./view.ts";

/** Rule T: a document has to have been confirmed this recently when a flush is sent. */
export const GATE_MS = 2_000;
/** After a failed call Redis counts as down for this long; the poll tries it meanwhile. */
const REDIS_DOWN_MS = 1_000;

export interface SessionParts {
  readonly namespace: Namespace;
  readonly transport: Transport;
  readonly store: TopologyStore;
  readonly clock: Clock;
  readonly recorder: Recorder;
  /** What the servers take at most; without it values are sent unchecked. */
  readonly limits?: Pick<ItemLimits, "check" | "fits"> | undefined;
}

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
  readonly counters: SessionCounters = { pulled: 0, readsOfMovingKeys: 0, retries: 0, ambiguousWrites: 0, dropped: 0 };
  /** Pulls under way in this process, by key: one pull per key and process. */
  readonly pulls = new Map<string, Promise<void>>();
  /** Called after every change of view. */
  onView: (view: View, before: View) => void = () => {};
  /** Called when the epoch this session can acknowledge has grown. */
  onDrained: (epoch: number) => void = () => {};
  #view: View;
  #refusal: RingshiftError | undefined;
  #redisFailedAt = Number.NEGATIVE_INFINITY;
  /** Older views under which attempts are still under way. */
  readonly #draining = new Set<View>();
  #drained: Promise<void> | undefined;
  #resolveDrained: (() => void) | undefined;
  readonly #looks: Coalesced<View>;

  constructor(parts: SessionParts, view: View) {
    this.namespace = parts.namespace;
    this.transport = parts.transport;
    this.store = parts.store;
    this.clock = parts.clock;
    this.recorder = parts.recorder;
    this.limits = parts.limits;
    this.#view = view;
    this.#looks = new Coalesced(() => this.#read());
  }

  get view(): View {
    return this.#view;
  }

  /** Rule T. While Redis does not answer the gate lets through: the fences guard alone. */
  gateOpen(): boolean {
    return this.#view.unfenced || this.clock.now() - Math.max(this.#view.confirmedAt, this.#redisFailedAt) < GATE_MS;
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

  redisFailed(): void {
    this.#redisFailedAt = this.clock.now();
  }

  /** Begins an attempt: the view it works under, to be given back to `leave`. @throws RingshiftError after `refuse` */
  enter(): View {
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#view.inFlight++;
    return this.#view;
  }

  leave(view: View): void {
    view.inFlight--;
    if (view.inFlight === 0 && this.#draining.delete(view)) this.#checkDrained();
  }

  /** The newest epoch such that nothing that began under an older one is under way. */
  get acknowledged(): number {
    let epoch = this.#view.document.epoch;
    for (const view of this.#draining) epoch = Math.min(epoch, view.document.epoch);
    return epoch;
  }

  /** Resolves when nothing that began under an older view is under way; undefined when that is so now. */
  drained(): Promise<void> | undefined {
    if (this.#draining.size === 0) return undefined;
    this.#drained ??= new Promise((resolve) => {
      this.#resolveDrained = resolve;
    });
    return this.#drained;
  }

  async #read(): Promise<View> {
    const askedAt = this.clock.now();
    let snapshot: Snapshot;
    try {
      snapshot = await this.store.read();
    } catch (error) {
      this.redisFailed();
      throw error;
    }
    return this.#seen(snapshot, askedAt);
  }

  async #seen(snapshot: Snapshot, askedAt: number): Promise<View> {
    const { document, runId } = snapshot;
    const own = this.#view;
    if (document?.id === own.document.id) {
      if (own.redisRunId !== runId) this.recorder.forget();
      own.redisRunId = runId;
      own.confirmedAt = Math.max(own.confirmedAt, askedAt);
      return own;
    }
    if (document === null || document.epoch < own.document.epoch) {
      await this.#putBack(document?.id ?? null, runId);
      if (document === null) {
        throw new RingshiftError("REDIS_UNREACHABLE", "Redis has lost the topology document; it has been put back.");
      }
      return new View(document, runId, askedAt);
    }
    const view = new View(document, runId, askedAt);
    this.#adopt(view);
    return view;
  }

  /** Redis forgot: the newest document that anybody holds goes back, under its own, older run id, and so unconfirmed. */
  async #putBack(found: string | null, runId: string): Promise<void> {
    const own = this.#view;
    if ((await this.store.publish(found, own.document)) !== "published") return; // somebody's newer one is there by now
    this.recorder.forget();
    own.redisRunId = runId;
  }

  #adopt(view: View): void {
    const before = this.#view;
    if (view.document.epoch < before.document.epoch) return; // another look was faster
    this.recorder.viewChanged(before, view);
    this.#view = view;
    if (before.inFlight > 0) this.#draining.add(before);
    before.supersede();
    this.onView(view, before);
    this.#checkDrained();
  }

  #checkDrained(): void {
    if (this.#draining.size === 0) {
      this.#resolveDrained?.();
      this.#resolveDrained = undefined;
      this.#drained = undefined;
    }
    this.onDrained(this.acknowledged);
  }
}
