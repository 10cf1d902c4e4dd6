/** What a number of runs came to: sums, and the histories of the first runs that violate. */
import { describe } from "./history.ts";
import type { RunResult } from "./run.ts";

/** Violating seeds kept. */
const MAX_SEEDS = 200;

export interface Totals {
  runs: number;
  operations: number;
  ambiguous: number;
  violations: number;
  /** Keys whose history was too long to judge. */
  undecided: number;
  events: number;
  /** In the order of their seeds. */
  seeds: number[];
  /** Of the first seed that violates. */
  report: string[];
  /** Runs by profile, faults and rejections by name. */
  counts: Record<string, number>;
}

export function noRuns(): Totals {
  const none = { runs: 0, operations: 0, ambiguous: 0, violations: 0, undecided: 0, events: 0 };
  return { ...none, seeds: [], report: [], counts: {} };
}

export function addRun(totals: Totals, result: RunResult): void {
  totals.runs++;
  totals.operations += result.answered;
  totals.ambiguous += result.ambiguous;
  totals.undecided += result.undecided;
  totals.events += result.events;
  add(totals.counts, `profile ${result.profile}`, 1);
  for (const [name, count] of result.counts) add(totals.counts, name, count);
  if (result.violations.length === 0) return;
  if (totals.violations++ === 0) totals.report = reportOf(result);
  totals.seeds.push(result.seed);
}

/** `later` is of greater seeds. */
export function join(totals: Totals, later: Totals): void {
  for (const name of ["runs", "operations", "ambiguous", "undecided", "events"] as const) totals[name] += later[name];
  for (const [name, count] of Object.entries(later.counts)) add(totals.counts, name, count);
  if (totals.violations === 0) totals.report = later.report;
  totals.violations += later.violations;
  totals.seeds = [...totals.seeds, ...later.seeds].slice(0, MAX_SEEDS);
}

function add(counts: Record<string, number>, name: string, by: number): void {
  counts[name] = (counts[name] ?? 0) + by;
}

function reportOf({ seed, violations, operations, faults }: RunResult): string[] {
  return violations.flatMap((key) => {
    if (key === "ttl") return [`seed ${seed}: a move has lengthened the life of a value`, ...faults];
    const own = operations.filter((operation) => operation.key === key);
    return [`seed ${seed}: the history of ${key} is not linearizable`, ...own.map(describe)];
  });
}
