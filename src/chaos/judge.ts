/** Judges the log of a run: every key by itself, a bucket of keys at a time. */
import { namespaceOf } from "../topology/namespace.ts";
import { describe, isWrite, type LossCause, type Operation } from "./history.ts";
import { BUCKETS, readBucket } from "./journal.ts";
import { checkKey, type Violation, type ViolationKind } from "./key-checker.ts";
import type { Timeline } from "./timeline.ts";

/** Keys whose history is printed in full, at most. */
const MAX_PRINTED = 3;
/** Of a printed history: so much before the violation. */
const PRINTED_MS = 60_000;

export interface Judgement {
  /** Answered, reads and writes. */
  readonly operations: number;
  readonly movingOperations: number;
  readonly writes: number;
  /** Rejected, with nothing written. */
  readonly failed: number;
  readonly ambiguousWrites: { readonly fence: number; readonly io: number; readonly killed: number };
  readonly violations: Readonly<Record<ViolationKind, number>>;
  readonly explainedLosses: Readonly<Partial<Record<LossCause, number>>>;
  readonly undecidedKeys: number;
  readonly keys: number;
  /** Histories of the first violations. */
  readonly texts: readonly string[];
}

/** @param folder of the log @param latest end of the run, ms */
export function judgeRun(folder: string, timeline: Timeline): Judgement {
  const counts = { operations: 0, movingOperations: 0, writes: 0, failed: 0, keys: 0, undecidedKeys: 0 };
  const ambiguousWrites = { fence: 0, io: 0, killed: 0 };
  const violations = { lostWrite: 0, resurrection: 0, staleRead: 0, lostIncrement: 0, ttlGrown: 0 };
  const explainedLosses: Partial<Record<LossCause, number>> = {};
  const texts: string[] = [];
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    for (const [key, operations] of readBucket(folder, bucket)) {
      counts.keys++;
      for (const operation of operations) countOperation(operation, counts, ambiguousWrites);
      const ring = ringOf(key);
      const wire = wireKeyOf(key);
      const losses = [...timeline.lossesOf(ring, wire), ...timeline.refusalsOf(ring, wire, operations)];
      const verdict = checkKey(operations, losses, timeline.tolerance(ring));
      for (const cause of verdict.losses) explainedLosses[cause] = (explainedLosses[cause] ?? 0) + 1;
      if (verdict.undecided) counts.undecidedKeys++;
      if (verdict.violation === undefined) continue;
      violations[verdict.violation.kind]++;
      if (texts.length < MAX_PRINTED) texts.push(tell(key, operations, verdict.violation, timeline, losses));
    }
  }
  return { ...counts, ambiguousWrites, violations, explainedLosses, texts };
}

/** `a/v17`: the ring, and its key. */
export function ringOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

export function keyOf(key: string): string {
  return key.slice(key.indexOf("/") + 1);
}

function wireKeyOf(key: string): string {
  return namespaceOf(ringOf(key)).keyPrefix + keyOf(key);
}

function countOperation(
  { outcome, verb, moving }: Operation,
  counts: { operations: number; movingOperations: number; writes: number; failed: number },
  ambiguous: { fence: number; io: number; killed: number },
): void {
  if (outcome === "ok") {
    counts.operations++;
    if (moving) counts.movingOperations++;
    if (isWrite(verb)) counts.writes++;
  } else if (outcome === "none" || outcome === "refused" || !isWrite(verb)) counts.failed++;
  else if (outcome === "open") ambiguous.killed++;
  else ambiguous[outcome]++;
}

/** The key's operations and what happened around them, up to the one that no order explains. */
function tell(
  key: string,
  operations: readonly Operation[],
  { kind, operation, possible }: Violation,
  timeline: Timeline,
  losses: readonly { readonly from: number; readonly to: number; readonly cause: string }[],
): string {
  const from = operation.at - PRINTED_MS;
  const until = operation.end;
  const lines = operations
    .filter(({ at, end }) => end >= from && at <= until + 1_000)
    .map((one) => ({ at: one.at, text: `${describe(one)}${one === operation ? `   <== ${kind}` : ""}` }));
  const notes = timeline.notes
    .filter(({ at }) => at >= from && at <= until + 1_000)
    .map(({ at, text }) => ({ at, text: `${at.toFixed(1).padStart(10)} --- ${text}` }));
  const lost = losses
    .filter((loss) => loss.to >= from && loss.from <= until)
    .map((loss) => ({
      at: loss.from,
      text: `${loss.from.toFixed(1).padStart(10)} --- until ${loss.to.toFixed(1)} its value may be lost: ${loss.cause}`,
    }));
  const all = [...lines, ...notes, ...lost].sort((a, b) => a.at - b.at).map(({ text }) => text);
  const expected = possible.map((value) => (value === undefined ? "nothing" : JSON.stringify(value))).join(" or ");
  return [`${kind} of ${key}: there was ${expected}`, ...all].join("\n");
}
