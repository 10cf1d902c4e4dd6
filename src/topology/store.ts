/** What the protocol asks of Redis. `redis-store.ts` implements it; the model's simulated Redis does too. */
import type { NodeRecord, TopologyDocument } from "./document.ts";

/** The document and, from the same script, Redis' own run id. */
export interface Snapshot {
  /** Null: this Redis knows no cluster of the namespace. */
  readonly document: TopologyDocument | null;
  readonly runId: string;
}

/** `changed`: another document was there. `failover`: Redis' run id is not the one required. In both cases nothing was written. */
export type Publication = "published" | "changed" | "failover";

/** Keys to add to the set of one point. Keys are latin1 text, one char a byte. */
export interface PointEntries {
  readonly point: number;
  readonly keys: readonly string[];
}

export interface Registration {
  readonly clientId: string;
  /** No operation that began under an older epoch is in flight any more. */
  readonly acknowledged: number;
}

/** Progress of the change under way, or of the last one. */
export interface JournalEntry {
  /** Id of the operation in the document. */
  readonly operation: string;
  readonly command: string;
  readonly state: "copying" | "cleaning" | "done";
  readonly moved: number;
  /** From `cleaning` on: what the clean-up needs, as the clients may end the settling, and with it forget the old ring, before it is done. */
  readonly settled?: Settled | undefined;
}

/** How a migration ended. */
export interface Settled {
  /** The document's count of migrations with this one: the clean-up belongs to that document and its settled successor. */
  readonly migrations: number;
  readonly previousNodes: readonly NodeRecord[];
}

/** Every call rejects with RingshiftError REDIS_UNREACHABLE when Redis does not answer, or answers an error. */
export interface TopologyStore {
  read(): Promise<Snapshot>;
  /**
   * Compare-and-set on the id of the document that is there (null: none) and, when given, on Redis' run id.
   * A publication that was answered `changed` because it had run before (a resent command) counts as published.
   */
  publish(expectedId: string | null, document: TopologyDocument, requiredRunId?: string): Promise<Publication>;
  /** Adds the entries, then answers the id of the document. */
  record(generation: number, entries: readonly PointEntries[]): Promise<string | null>;
  /** Registers the client for `REGISTRATION_MS` and reads as `read` does; the document is undefined when its id is `knownId`. */
  heartbeat(
    registration: Registration,
    knownId: string | null,
  ): Promise<{ readonly document: TopologyDocument | null | undefined; readonly runId: string }>;
  unregister(clientId: string): Promise<void>;
  /** Registered clients that have not acknowledged the epoch. */
  unacknowledged(epoch: number): Promise<string[]>;
  /** The keys of one point's set, in pages. A key may come twice. */
  entries(generation: number, point: number): AsyncIterable<string[]>;
  /** Number of entries per point, in the order of `points`. */
  counts(generation: number, points: readonly number[]): Promise<number[]>;
  /** Removes entries, only while the document's id is still `documentId`. Answers whether it did. */
  removeEntries(documentId: string, generation: number, entries: readonly PointEntries[]): Promise<boolean>;
}

/** What a coordinator keeps beside the document. */
export interface ChangeStore extends TopologyStore {
  readJournal(): Promise<JournalEntry | undefined>;
  writeJournal(entry: JournalEntry): Promise<void>;
  /** The points whose sets the operation has copied once. A coordinator that was paused may add to its own, ended operation. */
  copiedPoints(operation: string): Promise<Set<number>>;
  addCopiedPoint(operation: string, point: number): Promise<void>;
  clearCopiedPoints(): Promise<void>;
  /** Who coordinates a change now; null: nobody. */
  leaseHolder(): Promise<string | null>;
}

/** Go forward to the end, then back to these nodes, if nothing else has changed the ring since. */
export interface AbortWish {
  /** Id of the operation whose copiers are to stop. */
  readonly operation: string;
  readonly back: readonly NodeRecord[];
  /** The document's count of migrations when it was wished for. */
  readonly migrations: number;
}

/** What an operator has asked of the change under way. */
export interface Control {
  /** Id of the operation it is about. */
  readonly operation: string;
  /** Copiers stand still; clients still pull what they touch. */
  readonly paused: boolean;
  readonly abort?: AbortWish | undefined;
}

/** The set that lists the keys of one point. */
export interface IndexSet {
  readonly generation: number;
  readonly point: number;
}

/** What an operator's commands ask of Redis besides. */
export interface OperatorStore extends ChangeStore {
  readControl(): Promise<Control | undefined>;
  writeControl(control: Control | undefined): Promise<void>;
  /** Every set that the index has, of whatever generation and point, in pages. A set may come twice. */
  sets(): AsyncIterable<IndexSet[]>;
  unlinkSets(sets: readonly IndexSet[]): Promise<void>;
  /** Whether each key is in its set, in order. */
  listed(entries: readonly (IndexSet & { readonly key: string })[]): Promise<boolean[]>;
}

/** A registration ends this long after the last heartbeat: a killed client holds nobody up for longer. */
export const REGISTRATION_MS = 5_000;
