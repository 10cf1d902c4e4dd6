/**
 * docs/performance.md: prose by hand, figures by the benchmark. Each run puts its tables between pairs of marks and leaves the rest alone:
 *
 *     <!-- bench:calls -->
 *     | workload | ... |
 *     <!-- /bench:calls -->
 */

import { FLOORS, OURS, PEERS } from "../jobs/workloads.ts";
import { sharesIn } from "../measure/profile.ts";
import { checkTargets } from "./check.ts";
import { type Bar, barChart, type Group } from "./plots.ts";
import { type Results, ratioName } from "./results.ts";
import { COST, checkTable, columnsOf, figure, ownTable, SPEED, table, workloadTable } from "./tables.ts";

const CALLS = ["get-hit-64", "get-miss-64", "set-known-64", "set-new-64", "mix-zipf-64", "get-multi-100"];
const IN_FLIGHT = ["get-hit-1", "get-hit-1024", "get-multi-100-one"];
const SIZES = ["get-4KiB-64", "set-4KiB-64", "get-256KiB-64", "set-256KiB-64"];
const NODES = ["get-1-node", "get-100-nodes", "set-known-100-nodes"];
const FENCES = ["fence-get-64", "fence-set-64"];
const MID = [
  "mid-migration-mix-2.5k",
  "mid-migration-mix",
  "mid-migration-mix-10k",
  "mid-migration-mix-unbounded",
  "mid-migration-get",
];
/** Migrations that the other copies are timed beside. */
const COMPARED = ["migration-200k", "migration-1M"];
const MIGRATIONS = ["migration-20k", "migration-200k", "migration-1M", "migration-wide-200k"];
const INDEXES = ["index-100000", "index-1000000"];
const PROFILES = [
  "profile-get-hit-64",
  "profile-set-known-64",
  "profile-set-new-64",
  "profile-get-256KiB-64",
  "profile-migration",
];
const RINGS = ["ring-3", "ring-10", "ring-100", "ring-1000"];

const WORK = columnsOf({
  "keys moved": "moved",
  "keys/s": "opsPerSecond",
  "copier's CPU µs/key": "cpuMicrosPerOp",
  "servers' µs/key": "serverCpuMicrosPerOp",
  "server commands/key": "serverCommandsPerOp",
  "Redis calls/key": "redisCallsPerOp",
  "sets read": "setsRead",
  "sets in all": "setsTotal",
  "copier's peak MiB": "peakMemoryMiB",
});

/** Every marked section of docs/performance.md. */
export function sectionsOf(results: Results): Record<string, string> {
  const index = columnsOf({
    "Redis bytes/key": "redisBytesPerKey",
    "Redis calls/key": "redisCallsPerOp",
    "commands in Redis/key": "redisCommandsPerOp",
  });
  const ring = columnsOf({
    points: "points",
    "build ms": "buildMillis",
    "its CPU ms": "buildCpuMillis",
    "longest hold ms": "buildLongestSliceMillis",
    "one node more ms": "changeMillis",
    "longest hold then ms": "changeLongestSliceMillis",
    "difference ms": "diffMillis",
    "plan ms": "planMillis",
    "lookup CPU µs": "cpuMicrosPerOp",
  });
  const copier = columnsOf({
    "copier keys/s": "copierKeysPerSecond",
    "its CPU µs/key": "copierCpuMicrosPerKey",
    "time in D, s": "measuredSeconds",
  });
  return {
    machine: machineTable(results),
    targets: checkTable(checkTargets(results)),
    calls: workloadTable(results, CALLS, SPEED),
    costs: workloadTable(results, CALLS, COST),
    "in-flight": workloadTable(results, IN_FLIGHT, SPEED),
    sizes: workloadTable(results, SIZES, [...SPEED, ...COST.slice(-1)]),
    nodes: workloadTable(results, NODES, [...SPEED, ...COST.slice(-2, -1)]),
    fences: workloadTable(results, FENCES, [...SPEED, ...COST.slice(3, 6)]),
    mid: workloadTable(results, MID, [...SPEED, ...copier]),
    migrations: workloadTable(results, COMPARED, SPEED.slice(0, 5)),
    work: ownTable(results, MIGRATIONS, WORK),
    index: [
      workloadTable(results, INDEXES, index),
      ownTable(results, ["set-new-64"], [...index, ...columnsOf({ "Redis' CPU µs/key": "redisCpuMicrosPerOp" })]),
    ].join("\n\n"),
    ring: ownTable(results, RINGS, ring),
    profile: profileTable(results),
  };
}

/** Replaces what stands between the marks. @throws Error for a section that the text has no marks for */
export function putSections(text: string, sections: Readonly<Record<string, string>>): string {
  let result = text;
  for (const [name, content] of Object.entries(sections)) {
    const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
    const from = result.indexOf(open);
    const to = result.indexOf(close);
    if (from < 0 || to < from)
      throw new Error(`docs/performance.md has no place for the figures: ${open} ... ${close}`);
    result = `${result.slice(0, from + open.length)}\n${content}\n${result.slice(to)}`;
  }
  return result;
}

/** File name to SVG. */
export function plotsOf(results: Results): Record<string, string> {
  const perSecond = groupsOf(results, CALLS, [OURS, ...PEERS], "opsPerSecond");
  const cpu = groupsOf(results, ["get-hit-64", "set-known-64"], [OURS, ...PEERS, ...FLOORS], "cpuMicrosPerOp");
  const late = groupsOf(results, ["get-hit-1", "get-hit-64", "get-hit-1024"], [OURS, ...PEERS], "p99Micros");
  return {
    "throughput.svg": barChart({ title: "Operations a second, 3 nodes", unit: "more is better", groups: perSecond }),
    "ratios.svg": ratioPlot(results),
    "cpu.svg": barChart({
      title: "Client's CPU time an operation, 64 in flight",
      unit: "µs; less is better",
      groups: cpu,
    }),
    "latency.svg": barChart({
      title: "99th percentile of a get, by calls in flight",
      unit: "µs; less is better",
      groups: late,
    }),
    "migration.svg": barChart({
      title: "Keys moved a second, 3 to 4 nodes",
      unit: "more is better",
      groups: groupsOf(results, COMPARED, Object.keys(results.workloads["migration-200k"] ?? {}), "opsPerSecond"),
    }),
  };
}

function ratioPlot(results: Results): string {
  const groups = CALLS.map((workload) => ({
    label: workload,
    bars: PEERS.flatMap((peer): Bar[] => {
      const ratio = results.ratios[ratioName(workload, "", peer)];
      return ratio === undefined ? [] : [{ name: peer, value: ratio.median, low: ratio.min, high: ratio.max }];
    }),
  }));
  const title = "ringshift's operations a second over each peer's";
  return barChart({ title, unit: "×; the line is 1, the thin lines are the rounds", groups, mark: 1 });
}

function groupsOf(results: Results, workloads: readonly string[], clients: readonly string[], field: string): Group[] {
  return workloads.map((workload) => ({
    label: workload,
    bars: clients.flatMap((name): Bar[] => {
      const value = results.workloads[workload]?.[name]?.[field];
      return typeof value === "number" ? [{ name, value, strong: name === OURS }] : [];
    }),
  }));
}

/** A row a kind of work, a column a workload: microseconds of CPU an operation, and their share. */
function profileTable(results: Results): string {
  const columns = PROFILES.flatMap((name) => {
    const measure = results.workloads[name]?.[OURS];
    return measure === undefined ? [] : [{ name: name.slice("profile-".length), measure, shares: sharesIn(measure) }];
  });
  const weight = (kind: string) => Math.max(...columns.map(({ shares }) => shares.get(kind) ?? 0));
  const kinds = [...new Set(columns.flatMap(({ shares }) => [...shares.keys()]))].sort((a, b) => weight(b) - weight(a));
  const rows = kinds.map((kind) => [
    kind,
    ...columns.map(({ measure, shares }) => {
      const share = shares.get(kind);
      return share === undefined ? "" : `${figure(share * measure.cpuMicrosPerOp)} µs, ${figure(share * 100, 0)} %`;
    }),
  ]);
  return table(["", ...columns.map(({ name }) => name)], rows);
}

function machineTable({ machine, versions }: Results): string {
  const rows = Object.entries({ ...machine, ...versions }).map(([name, value]) => [name, String(value)]);
  return table(["", ""], rows);
}
