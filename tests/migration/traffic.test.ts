/** Changes under real traffic from two other processes: no read fails, nothing is stale, nothing is lost, and every count is exact. */
import { describe, expect, test } from "vitest";
import type { Change } from "../../src/index.ts";
import { audit } from "../support/audit.ts";
import { useBench } from "../support/bench.ts";
import { Traffic } from "../support/traffic.ts";

const SIZE = { workers: 2, keys: 1_500, counters: 40 };
const bench = useBench({ memcached: 5 });
const server = (i: number) => bench.local.servers[i]!;

const RUNS: readonly (readonly [string, () => readonly Change[]])[] = [
  [
    "a node joins, another leaves",
    () => [
      { kind: "add-node", nodes: [{ address: server(3) }] },
      { kind: "remove-node", names: [server(0)] },
    ],
  ],
  [
    "two nodes join at once and leave at once",
    () => [
      { kind: "add-node", nodes: [{ address: server(3) }, { address: server(4) }] },
      { kind: "remove-node", names: [server(3), server(4)] },
    ],
  ],
  [
    "vnodes 40 to 80 to 400 to 40",
    () => [80, 400, 40].map((vnodes) => ({ kind: "set-vnodes", name: server(1), vnodes }) as const),
  ],
  [
    "a weight goes up and down",
    () => [3, 0.5, 1].map((weight) => ({ kind: "set-weight", name: server(2), weight }) as const),
  ],
];

describe.each(RUNS)("%s", (_, changes) => {
  test("and nobody notices", async () => {
    const cluster = bench.cluster(3);
    const traffic = bench.own(await Traffic.start(cluster.where, SIZE));
    const admin = await cluster.admin();
    const reports = [];
    for (const change of changes()) reports.push(await admin.apply(change, { rate: 2_000 }));
    const outcome = await traffic.outcome(await cluster.client());
    expect(outcome).toMatchObject({ failed: [], stale: [], lost: [] });
    expect(outcome.operations).toBeGreaterThan(1_000);
    expect(outcome.readsOfMovingKeys).toBeGreaterThan(0);
    expect((await audit(cluster)).faults).toStrictEqual([]);
    for (const report of reports) expect(report.moved).toBeGreaterThan(0);
  });
});
