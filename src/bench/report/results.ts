/** The results document: medians by workload and client, and ratios with their spread. Pure. */

import { OURS } from "../jobs/workloads.ts";
import { type Measure, medianMeasure, type Ratio, type Round, ratioOf } from "../measure/stats.ts";

export type Machine = Readonly<Record<string, string | number | boolean>>;

export interface Results {
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly workloads: Readonly<Record<string, Readonly<Record<string, Measure>>>>;
  /**
   * `NAME vs CLIENT`: ringshift's operations a second over the client's, round by round. `NAME cpu vs CLIENT`, `NAME p50 vs CLIENT` ...: the
   * same for another figure.
   */
  readonly ratios: Readonly<Record<string, Ratio>>;
}

/** The figures that ratios are made of, by the word in a ratio's name. */
const RATIO_FIELDS = {
  "": "opsPerSecond",
  cpu: "cpuMicrosPerOp",
  "server-cpu": "serverCpuMicrosPerOp",
  p50: "p50Micros",
  p99: "p99Micros",
  memory: "peakMemoryMiB",
} as const;

export type RatioWord = keyof typeof RATIO_FIELDS;

export function ratioName(workload: string, word: RatioWord, client: string): string {
  return `${workload}${word === "" ? "" : ` ${word}`} vs ${client}`;
}

/** What the rounds of one workload come to. */
export function summariseRounds(name: string, rounds: readonly Round[]): Pick<Results, "workloads" | "ratios"> {
  const clients = [...new Set(rounds.flatMap((round) => Object.keys(round)))];
  const measures: Record<string, Measure> = {};
  const ratios: Record<string, Ratio> = {};
  for (const client of clients) {
    measures[client] = medianMeasure(rounds.flatMap((round) => round[client] ?? []));
    if (client === OURS) continue;
    for (const [word, field] of Object.entries(RATIO_FIELDS)) {
      const ratio = ratioOf(rounds, OURS, client, field);
      if (ratio !== undefined) ratios[ratioName(name, word as RatioWord, client)] = ratio;
    }
  }
  return { workloads: { [name]: measures }, ratios };
}

/** A part put into a whole: it takes the place of what the whole has of the same workloads. */
export function mergeResults(whole: Results | undefined, part: Results): Results {
  if (whole === undefined) return part;
  const replaced = new Set(Object.keys(part.workloads));
  const kept = Object.entries(whole.ratios).filter(([name]) => !replaced.has(name.split(" ")[0]!));
  return {
    machine: part.machine,
    versions: part.versions,
    workloads: { ...whole.workloads, ...part.workloads },
    ratios: { ...Object.fromEntries(kept), ...part.ratios },
  };
}

/** The client among these with the most (or least) of a figure; undefined when none has it. */
export function bestOf(
  results: Results,
  workload: string,
  clients: readonly string[],
  field: string,
  least = false,
): string | undefined {
  let best: string | undefined;
  let bestValue = least ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  for (const client of clients) {
    const measure = results.workloads[workload]?.[client];
    const value = measure?.[field];
    if (typeof value !== "number" || (measure?.wrong ?? 0) > 0) continue;
    if (least ? value < bestValue : value > bestValue) [best, bestValue] = [client, value];
  }
  return best;
}
