/** The targets of the client's performance, held against results. Pure: what a machine reaches is for people to judge. */

import { OURS, PEERS, UNFENCED } from "../jobs/workloads.ts";
import { COPIER_RATE, SLOW_RATE, STEADY } from "../parts/mid-migration.ts";
import { MEMJS_LOOP, RAW_COPY } from "../parts/migration.ts";
import { PROTOTYPE } from "../parts/ring-parts.ts";
import { bestOf, type RatioWord, type Results, ratioName } from "./results.ts";

export interface Check {
  readonly group: string;
  readonly what: string;
  readonly atLeast?: number | undefined;
  readonly atMost?: number | undefined;
  readonly unit: string;
  /** Undefined where the results have nothing of it. */
  readonly reached: number | undefined;
  /** From the worst to the best round, where there are rounds. */
  readonly spread: readonly [number, number] | undefined;
  /** Of operations a second: the same by the clients' CPU time, which other programs on the machine disturb less. */
  readonly byCpu: number | undefined;
  readonly met: boolean | undefined;
}

type Bound = { readonly atLeast: number } | { readonly atMost: number };

export function checkTargets(results: Results): Check[] {
  return [
    ...callTargets(results),
    ...sizeTargets(results),
    ...migrationTargets(results),
    ...fenceTargets(results),
    ...ringTargets(results),
  ];
}

/** True when no target that was measured is missed. */
export function allMet(checks: readonly Check[]): boolean {
  return checks.every(({ met }) => met !== false);
}

function callTargets(results: Results): Check[] {
  const fast = (workload: string) => bestOf(results, workload, PEERS, "opsPerSecond");
  const memjs = "memjs+hashring";
  const ratio = ratioCheck(results);
  return [
    ratio("get", "get-hit-64", "", memjs, { atLeast: 4 }),
    ratio("get", "get-hit-64", "", fast("get-hit-64"), { atLeast: 3 }, "the fastest peer"),
    ratio("get", "get-hit-64", "cpu", "floor-bytes", { atMost: 5 }),
    ratio("get", "get-hit-64", "cpu", "floor-calls", { atMost: 1.5 }),
    ratio("set", "set-new-64", "", memjs, { atLeast: 1.5 }),
    ratio("set", "set-known-64", "", memjs, { atLeast: 3.5 }),
    ratio("in flight", "get-hit-1", "p50", fast("get-hit-1"), { atMost: 1.1 }, "the fastest peer"),
    ratio(
      "in flight",
      "get-hit-1024",
      "p99",
      bestOf(results, "get-hit-1024", PEERS, "p99Micros", true),
      { atMost: 1 },
      "the best peer",
    ),
    ratio("multi get", "get-multi-100", "", memjs, { atLeast: 4 }),
    ratio("multi get", "get-multi-100", "", fast("get-multi-100"), { atLeast: 2 }, "the fastest peer"),
  ];
}

function sizeTargets(results: Results): Check[] {
  const ratio = ratioCheck(results);
  return ["get-256KiB-64", "set-256KiB-64"].flatMap((workload) => {
    const best = bestOf(results, workload, PEERS, "opsPerSecond");
    return [
      ratio("large values", workload, "", best, { atLeast: 1 }, "the best peer"),
      ratio("large values", workload, "memory", best, { atMost: 1 }, "the best peer"),
    ];
  });
}

function migrationTargets(results: Results): Check[] {
  const ratio = ratioCheck(results);
  const ours = (name: string, field: string) => results.workloads[name]?.[OURS]?.[field] ?? undefined;
  const grown = (field: string, small: string, large: string) => {
    const [from, to] = [ours(small, field), ours(large, field)];
    return typeof from === "number" && typeof to === "number" && from > 0 ? to / from : undefined;
  };
  const copierAt = (rate: number) => `steady, copier at ${rate.toLocaleString("en")} keys/s`;
  const growth = (what: string, field: string, small: string, large: string, atMost: number) =>
    check("migration", `${what}, ${large} over ${small}`, { atMost }, "×", grown(field, small, large));
  return [
    ratio("mid-migration", "mid-migration-mix-2.5k", "", STEADY, { atLeast: 0.7 }, copierAt(SLOW_RATE)),
    ratio("mid-migration", "mid-migration-mix-2.5k", "p99", STEADY, { atMost: 3 }, copierAt(SLOW_RATE)),
    ratio("mid-migration", "mid-migration-mix", "", STEADY, { atLeast: 0.7 }, copierAt(COPIER_RATE)),
    ratio("mid-migration", "mid-migration-mix", "p99", STEADY, { atMost: 3 }, copierAt(COPIER_RATE)),
    ...["migration-200k", "migration-1M"].flatMap((size) => [
      ratio("migration", size, "", RAW_COPY, { atLeast: 0.4 }),
      ratio("migration", size, "", MEMJS_LOOP, { atLeast: 3 }),
    ]),
    growth("server commands a moved key", "serverCommandsPerOp", "migration-20k", "migration-200k", 1.1),
    growth("Redis calls a moved key", "redisCallsPerOp", "migration-20k", "migration-200k", 1.1),
    growth("server commands a moved key", "serverCommandsPerOp", "migration-20k", "migration-wide-200k", 1.1),
    growth("copier's peak memory", "peakMemoryMiB", "migration-200k", "migration-1M", 1.5),
  ];
}

function fenceTargets(results: Results): Check[] {
  const ratio = ratioCheck(results);
  const [sets, packed] = [OURS, PROTOTYPE].map((form) => results.workloads["index-1000000"]?.[form]?.redisBytesPerKey);
  const share = sets && packed ? packed / sets : undefined;
  return [
    ratio("fences", "fence-get-64", "", UNFENCED, { atLeast: 0.88 }),
    ratio("fences", "fence-set-64", "", UNFENCED, { atLeast: 0.88 }),
    check("index", "Redis memory a key, prototype over today's", { atMost: 0.5 }, "×", share),
  ];
}

function ringTargets(results: Results): Check[] {
  const ring = results.workloads["ring-1000"]?.[OURS];
  const of = (field: string) => ring?.[field] ?? undefined;
  return [
    check("ring", "1,000 nodes built", { atMost: 200 }, "ms", of("buildMillis")),
    check("ring", "longest hold of the event loop meanwhile", { atMost: 10 }, "ms", of("buildLongestSliceMillis")),
    check("ring", "longest hold at one more node", { atMost: 10 }, "ms", of("changeLongestSliceMillis")),
    check("ring", "CPU time to look a key up", { atMost: 0.6 }, "µs", of("cpuMicrosPerOp")),
  ];
}

const WORDS: Readonly<Record<RatioWord, string>> = {
  "": "operations/s",
  cpu: "CPU an operation",
  "server-cpu": "servers' CPU an operation",
  p50: "p50",
  p99: "p99",
  memory: "peak memory",
};

function ratioCheck(results: Results) {
  return (
    group: string,
    workload: string,
    word: RatioWord,
    client: string | undefined,
    bound: Bound,
    role?: string,
  ) => {
    const ratio = client === undefined ? undefined : results.ratios[ratioName(workload, word, client)];
    const other = role === undefined ? client : client === undefined ? role : `${role} (${client})`;
    const spread = ratio && ([ratio.min, ratio.max] as const);
    const cpu = word === "" && client !== undefined ? results.ratios[ratioName(workload, "cpu", client)] : undefined;
    const what = `${workload}: ${WORDS[word]} over ${other}`;
    return { ...check(group, what, bound, "×", ratio?.median, spread), byCpu: cpu && 1 / cpu.median };
  };
}

function check(
  group: string,
  what: string,
  bound: Bound,
  unit: string,
  reached: number | undefined,
  spread?: readonly [number, number],
): Check {
  const { atLeast, atMost } = { atLeast: undefined, atMost: undefined, ...bound };
  const met = reached === undefined ? undefined : reached >= (atLeast ?? -Infinity) && reached <= (atMost ?? Infinity);
  return { group, what, atLeast, atMost, unit, reached, spread, byCpu: undefined, met };
}
