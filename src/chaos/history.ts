/** What a client process did, as it is logged and judged. Times are ms of the machine's monotonic clock since the run began. */

export const READS = ["get", "gets", "getMeta"] as const;
export const WRITES = [
  "set",
  "add",
  "replace",
  "append",
  "prepend",
  "cas",
  "delete",
  "incr",
  "decr",
  "touch",
  "gat",
] as const;
export type Verb = (typeof READS)[number] | (typeof WRITES)[number];

/** A call, as it is logged before it is made. */
export interface Call {
  /** In the log unique in its process, in a history that was read for its key. */
  readonly id: number;
  readonly at: number;
  /** Ring and key in it, `a/v17`. */
  readonly key: string;
  readonly verb: Verb;
  /** What it writes; of incr and decr: the initial value, empty for none. Of cas after this: what its token stands for. */
  readonly text: string;
  /** Seconds; 0: for ever. */
  readonly ttl: number;
  /** Of incr and decr: by how much. */
  readonly delta: number;
  /** Of cas: the value that its token was given with. */
  readonly expected: string;
  /** The key had two owners then, as its client saw it. */
  readonly moving: boolean;
}

/**
 * `ok`: answered. `none`: rejected, and nothing was written. `refused`: by a server without memory, and the old value may be gone. The others
 * are writes that may take effect, once, late, or never: `fence` because a fence was newer, `io` for want of an answer, `open` because the
 * process died.
 */
export type Outcome = "ok" | "none" | "fence" | "io" | "refused" | "open";

/** A value (null: none), whether a write applied, a counter, or of getMeta the seconds left (-1: never expires; null: no item). */
export type Result = string | number | boolean | null;

export interface Operation extends Call {
  /** Process and life, `3.1`. */
  readonly client: string;
  /** Infinity for `open`. */
  readonly end: number;
  readonly outcome: Outcome;
  readonly result: Result;
  /** Code of a rejection. */
  readonly code: string;
}

/** A part of a run's time in which something outside of the history may take a key's value, and why that is no bug. */
export interface Loss {
  readonly from: number;
  readonly to: number;
  readonly cause: LossCause;
}

export type LossCause = "killed" | "flushed" | "evicted" | "unstorable" | "recovered" | "confirmed";

export function isWrite(verb: Verb): boolean {
  return (WRITES as readonly string[]).includes(verb);
}

/** The write may or may not take effect. */
export function isAmbiguous({ outcome }: Pick<Operation, "outcome">): boolean {
  return outcome === "fence" || outcome === "io" || outcome === "open";
}

/** One line of a printed history. */
export function describe(operation: Operation): string {
  const { client, at, end, verb, text, ttl, delta, expected, outcome, result, code, moving } = operation;
  const what = [
    verb,
    text === "" ? "" : JSON.stringify(text),
    verb === "cas" ? `over ${JSON.stringify(expected)}` : "",
    delta === 0 ? "" : `by ${delta}`,
    ttl === 0 ? "" : `ttl ${ttl}`,
  ].filter((word) => word !== "");
  const answer = outcome === "ok" ? JSON.stringify(result) : `${outcome}${code === "" ? "" : ` (${code})`}`;
  const until = Number.isFinite(end) ? end.toFixed(1) : "...";
  return `${at.toFixed(1).padStart(10)} - ${until.padStart(10)}  ${client.padEnd(5)} ${moving ? "*" : " "} ${what.join(" ")} -> ${answer}`;
}
