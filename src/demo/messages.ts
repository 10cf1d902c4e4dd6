/** What the demo and its client processes tell each other, over the channel of `fork`. */
import type { SessionCounters } from "../protocol/session.ts";

/** First message to a client process. */
export interface Assignment {
  readonly redis: string;
  readonly keys: number;
  readonly counters: number;
  /** Number of this process, from 0, and how many there are. */
  readonly index: number;
  readonly processes: number;
  /** Operations a second it tries to do. */
  readonly rate: number;
}

/** What a client process has done so far, in numbers that only grow. */
export interface Tally {
  /** Reads, writes, deletes and increments that have ended, loading left out. */
  operations: number;
  failedReads: number;
  staleReads: number;
  /** Keys that were missing although they had a value, each counted once. */
  lostKeys: number;
  failedWrites: number;
  ambiguousWrites: number;
}

export interface Report {
  readonly tally: Tally;
  /** The client's own `metrics()`. */
  readonly metrics: SessionCounters;
  /** Own keys that have a value now. */
  readonly present: number;
}

/** Everything a process knows of the keys it alone writes, for the final check. Own key n is the key `n * processes + index`. */
export interface Books {
  readonly stamps: Int32Array;
  /** Of the latest write that was acknowledged: when it was sent and when its answer came, in ms of `monotonicMs`. */
  readonly sentAt: Float64Array;
  readonly answeredAt: Float64Array;
  /** By key: the stamps of writes whose effect is unknown. */
  readonly doubts: ReadonlyMap<number, readonly number[]>;
  readonly lost: readonly string[];
  /** By counter: increments that were acknowledged, and those whose effect is unknown. */
  readonly increments: Float64Array;
  readonly doubtfulIncrements: Float64Array;
  readonly report: Report;
}

export type ToClient =
  | { readonly type: "load"; readonly assignment: Assignment }
  | { readonly type: "run" }
  | { readonly type: "sample" }
  | { readonly type: "news"; readonly news: Int32Array }
  | { readonly type: "stop" };

export type FromClient =
  | { readonly type: "loaded" }
  | { readonly type: "report"; readonly report: Report }
  | { readonly type: "sample"; readonly report: Report }
  /** What the process has written, for the others (`CheckedClient.takeNews`). */
  | { readonly type: "news"; readonly news: Int32Array }
  | { readonly type: "problem"; readonly text: string }
  | { readonly type: "failed"; readonly text: string }
  | { readonly type: "books"; readonly books: Books };

/** Milliseconds of a clock that all processes of the machine share and that nobody sets. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
