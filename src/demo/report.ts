/** What the demo found, as a document and as a table. */
import type { ChangeFigures } from "./change.ts";
import type { Loss } from "./loss.ts";

export interface DemoReport {
  /** Keys that the client processes read, write and delete. */
  readonly keys: number;
  readonly changes: readonly ChangeFigures[];
  readonly failedReads: number;
  /** Answers older than an acknowledged write, values that were deleted, values of another key or type. */
  readonly staleReads: number;
  /** Keys that were missing, once or more, although they had a value. */
  readonly lostKeys: number;
  /** Counters that are not the sum of their increments. */
  readonly wrongCounters: number;
  /** Largest difference between a TTL at the end and what it should be. */
  readonly ttlDriftMaxSeconds: number;
  /** The same over keys that never moved: memcached's clock has whole seconds. */
  readonly ttlDriftUnmovedMaxSeconds: number;
  /** What the client processes did, loading and the final check left out. */
  readonly operations: number;
  /** Writes that rejected and had no effect. */
  readonly failedWrites: number;
  /** Writes that rejected with their effect unknown. */
  readonly ambiguousWrites: number;
  /** Items that the servers evicted for lack of memory. */
  readonly evictions: number;
  /** What the same keys lose when a fourth server joins three without a migration. */
  readonly withoutMigration: { readonly modulo: Loss; readonly ketama: Loss };
}

/** False when a read failed, a value was stale, a key was lost or a counter is wrong. */
export function isFlawless(report: DemoReport): boolean {
  return report.failedReads + report.staleReads + report.lostKeys + report.wrongCounters === 0;
}

/** Lines of label and one cell a change; totals have one cell, under the last change. */
export function formatTable(report: DemoReport): string {
  const { changes, withoutMigration } = report;
  const each = (label: string, cell: (change: ChangeFigures) => string) => [label, ...changes.map(cell)];
  const once = (label: string, cell: string) => [label, ...changes.slice(1).map(() => ""), cell];
  const loss = ({ lost, share }: Loss) => `${whole(lost)} (${percent(share)})`;
  return layOut([
    each("", ({ change }) => change),
    each("keys", () => whole(report.keys)),
    each("moved", ({ moved }) => whole(moved)),
    each("  of these pulled by clients", ({ pulledByClients }) => whole(pulledByClients)),
    each("share moved", ({ movedShare }) => percent(movedShare)),
    each("  what the two rings say", ({ ringShare }) => percent(ringShare)),
    each("  ideal, 1/n", ({ idealShare }) => percent(idealShare)),
    each("sets read of sets there are", ({ setsRead, setsTotal }) => `${whole(setsRead)} of ${whole(setsTotal)}`),
    each("seconds", ({ seconds }) => seconds.toFixed(1)),
    each("keys/s (paced)", ({ keysPerSecond }) => whole(keysPerSecond)),
    each("operations meanwhile", ({ operations }) => whole(operations)),
    each("  reads of moving keys", ({ readsOfMovingKeys }) => whole(readsOfMovingKeys)),
    [],
    once("reads that failed", whole(report.failedReads)),
    once("values stale", whole(report.staleReads)),
    once("keys lost", whole(report.lostKeys)),
    once("counters wrong", whole(report.wrongCounters)),
    once("writes failed, ambiguous", `${whole(report.failedWrites)}, ${whole(report.ambiguousWrites)}`),
    once("TTL drift at most, after two moves", `${report.ttlDriftMaxSeconds.toFixed(1)} s`),
    once("  of keys that never moved", `${report.ttlDriftUnmovedMaxSeconds.toFixed(1)} s`),
    once("operations in all", whole(report.operations)),
    once("evictions", whole(report.evictions)),
    [],
    once("lost without migration, modulo", loss(withoutMigration.modulo)),
    once("lost without migration, ketama", loss(withoutMigration.ketama)),
  ]);
}

/** Columns two blanks apart, the first one flush left, the others flush right. */
function layOut(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
