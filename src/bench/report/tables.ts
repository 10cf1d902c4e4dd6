/** Results as Markdown tables. Pure. */

import { OURS } from "../jobs/workloads.ts";
import type { Measure } from "../measure/stats.ts";
import type { Check } from "./check.ts";
import { type Results, ratioName } from "./results.ts";

/** A column: its heading, and the cell of a measure. */
export type Column = readonly [heading: string, cell: (measure: Measure) => string];

/** A number of three to four digits, thousands apart; an em dash for none. */
export function figure(value: number | null | undefined, digits?: number): string {
  if (typeof value !== "number" || !Number.isFinite(value)) return "—";
  const fraction = digits ?? (Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  return value.toLocaleString("en", { minimumFractionDigits: fraction, maximumFractionDigits: fraction });
}

const field =
  (name: string, digits?: number) =>
  (measure: Measure): string =>
    figure(measure[name], digits);

export const SPEED: readonly Column[] = [
  ["ops/s", field("opsPerSecond", 0)],
  ["CPU µs/op", field("cpuMicrosPerOp")],
  ["servers' µs/op", field("serverCpuMicrosPerOp")],
  ["p50 µs", field("p50Micros", 0)],
  ["p99 µs", field("p99Micros", 0)],
  ["p99.9 µs", field("p999Micros", 0)],
];

export const COST: readonly Column[] = [
  ["kernel µs/op", field("kernelMicrosPerOp")],
  ["heap B/op", field("allocatedBytesPerOp", 0)],
  ["GC", (measure) => (typeof measure.gcShare === "number" ? `${figure(measure.gcShare * 100, 1)} %` : "—")],
  ["bytes out", field("bytesOutPerOp", 0)],
  ["bytes in", field("bytesInPerOp", 0)],
  ["packets/op", field("packetsPerOp")],
  ["peak MiB", field("peakMemoryMiB", 0)],
];

/** Fields by name, in tables of their own. */
export function columnsOf(columns: Readonly<Record<string, string>>): Column[] {
  return Object.entries(columns).map(([heading, name]) => [heading, field(name)]);
}

/** A row a client for each workload that was run; the last column says how many times as fast ringshift was. */
export function workloadTable(results: Results, workloads: readonly string[], columns: readonly Column[]): string {
  const rows: string[][] = [];
  for (const workload of workloads) {
    for (const [i, [client, measure]] of Object.entries(results.workloads[workload] ?? {}).entries()) {
      const cells = columns.map(([, cell]) => cell(measure));
      const name = client === OURS ? `**${client}**` : client;
      rows.push([i === 0 ? workload : "", name, ...cells, times(results, workload, client, measure)]);
    }
  }
  return table(["workload", "client", ...columns.map(([heading]) => heading), "ringshift is"], rows);
}

/** A row a workload, ringshift's figures only. */
export function ownTable(
  results: Results,
  workloads: readonly string[],
  columns: readonly Column[],
  client = OURS,
): string {
  const rows = workloads.flatMap((workload) => {
    const measure = results.workloads[workload]?.[client];
    return measure === undefined ? [] : [[workload, ...columns.map(([, cell]) => cell(measure))]];
  });
  return table(["workload", ...columns.map(([heading]) => heading)], rows);
}

export function checkTable(checks: readonly Check[]): string {
  const rows = checks.map(({ group, what, atLeast, atMost, unit, reached, spread, byCpu, met }) => [
    group,
    what,
    atLeast === undefined ? `≤ ${atMost} ${unit}` : `≥ ${atLeast} ${unit}`,
    reached === undefined ? "not measured" : `${figure(reached)} ${unit}`,
    spread === undefined ? "" : `${figure(spread[0])} to ${figure(spread[1])}`,
    byCpu === undefined ? "" : figure(byCpu),
    met === undefined ? "" : met ? "yes" : "**no**",
  ]);
  return table(["", "figure", "target", "reached (median)", "rounds", "by client's CPU", "met"], rows);
}

function times(results: Results, workload: string, client: string, measure: Measure): string {
  const wrong = measure.wrong ? ` (${measure.wrong} failed)` : "";
  const ratio = results.ratios[ratioName(workload, "", client)];
  if (ratio === undefined) return wrong.trim();
  return `${figure(ratio.median)} × (${figure(ratio.min)} to ${figure(ratio.max)})${wrong}`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}
