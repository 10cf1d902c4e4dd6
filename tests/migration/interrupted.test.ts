/** A change that is interrupted or whose coordinator dies goes on serving, and the same command finishes it. */
import { expect, test } from "vitest";
import type { Change } from "../../src/index.ts";
import { audit } from "../support/audit.ts";
import { codeOf, type TestCluster, until, useBench } from "../support/bench.ts";
import { RemoteCoordinator } from "../support/coordinator.ts";
import { stopAt, stopInDual } from "../support/dual.ts";
import { Traffic } from "../support/traffic.ts";

const bench = useBench({ memcached: 5 });
const addFourth = (): Change => ({ kind: "add-node", nodes: [{ address: bench.local.servers[3]! }] });
const entries = (count: number, value: unknown = "v") =>
  Array.from({ length: count }, (_, i) => [`k:${i}`, value] as const);

async function phaseOf(cluster: TestCluster): Promise<string> {
  return JSON.parse((await cluster.documentText())!).phase;
}

test("interrupted again and again, resumed by the same call, moving each key once", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  const admin = await cluster.admin();
  await client.setMulti(entries(2_000));
  const { keys } = await admin.plan(addFourth());
  let moved = 0;
  for (let stop = 0; stop < 3; stop++) {
    let copied = 0;
    await stopAt(admin, addFourth(), (progress) => {
      if (progress.step !== "copied") return false;
      copied++;
      return copied === 15 + stop * 30;
    });
    expect(await phaseOf(cluster)).toBe("D");
    moved = await journalMoved(cluster);
    expect(moved).toBeGreaterThan(0);
    expect((await client.getMulti(entries(50).map(([key]) => key))).size).toBe(50);
  }
  const report = await admin.apply(addFourth());
  expect(report).toMatchObject({ resumed: true });
  expect(report.moved).toBeLessThanOrEqual(keys);
  expect(report.moved).toBeGreaterThan(moved);
  expect(await client.getMulti(entries(2_000).map(([key]) => key))).toStrictEqual(new Map(entries(2_000)));
  const { faults, count } = await audit(cluster);
  expect(faults).toStrictEqual([]);
  expect(count).toBe(2_000);
});

/** What the journal in Redis says that the copiers have moved so far. */
async function journalMoved(cluster: TestCluster): Promise<number> {
  return Number(await bench.redis.hget(cluster.names.journal, "moved"));
}

test("a coordinator killed with kill -9 in D, under traffic", async () => {
  const cluster = bench.cluster(3);
  const traffic = bench.own(await Traffic.start(cluster.where, { workers: 2, keys: 800, counters: 20 }));
  const first = bench.own(new RemoteCoordinator());
  await first.begin(cluster, addFourth(), { rate: 100 });
  await first.event((progress) => progress.step === "copied" && progress.keysSeen > 20);
  await first.child.kill("SIGKILL");
  expect(await phaseOf(cluster)).toBe("D");
  const admin = await cluster.admin();
  expect(await codeOf(admin.apply({ kind: "remove-node", names: [cluster.servers[0]!] }))).toBe("MIGRATION_RUNNING");
  const report = await admin.apply(addFourth());
  expect(report).toMatchObject({ resumed: true, setsTotal: 480 });
  const outcome = await traffic.outcome(await cluster.client());
  expect(outcome).toMatchObject({ failed: [], stale: [], lost: [] });
  expect(outcome.pulledByClients).toBeGreaterThan(0);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("a coordinator that publishes F and dies: a client carries on to D, and the same command to the end", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  await client.setMulti(entries(600));
  const coordinator = bench.own(new RemoteCoordinator());
  await coordinator.begin(cluster, addFourth(), { dieAt: "fencing" });
  await coordinator.death();
  // reads go on at once, writes of moving keys wait for D
  expect((await client.getMulti(entries(600).map(([key]) => key))).size).toBe(600);
  await client.setMulti(entries(600, "written after F"));
  await until("a client has published D", async () => (await phaseOf(cluster)) === "D");
  expect(client.metrics().ambiguousWrites).toBe(0);
  const admin = await cluster.admin();
  expect(await admin.apply(addFourth())).toMatchObject({ resumed: true });
  expect(await client.getMulti(entries(600).map(([key]) => key))).toStrictEqual(
    new Map(entries(600, "written after F")),
  );
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("with nobody writing, a client at rest carries on all the same", async () => {
  const cluster = bench.cluster(3);
  await (await cluster.client()).setMulti(entries(100));
  const coordinator = bench.own(new RemoteCoordinator());
  await coordinator.begin(cluster, addFourth(), { dieAt: "fencing" });
  await coordinator.death();
  await until("a client has published D", async () => (await phaseOf(cluster)) === "D");
  expect(await (await cluster.admin()).apply(addFourth())).toMatchObject({ resumed: true });
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test.each(["planned", "fencing", "copying", "verified", "cleaning"] as const)(
  "a coordinator that dies when it is %s leaves nothing that the same command does not finish",
  async (dieAt) => {
    const cluster = bench.cluster(3);
    const client = await cluster.client();
    await client.setMulti(entries(400));
    const coordinator = bench.own(new RemoteCoordinator());
    await coordinator.begin(cluster, addFourth(), { dieAt });
    await coordinator.death();
    const report = await (await cluster.admin()).apply(addFourth());
    expect(report.resumed).toBe(dieAt !== "planned");
    expect(await client.getMulti(entries(400).map(([key]) => key))).toStrictEqual(new Map(entries(400)));
    const { faults, document, count } = await audit(cluster);
    expect(faults).toStrictEqual([]);
    expect(count).toBe(400);
    expect(document.nodes.length).toBe(4);
  },
);

test("another change while one runs is MIGRATION_RUNNING, and so is the same one", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  await client.setMulti(entries(400));
  const running = bench.own(new RemoteCoordinator());
  await running.begin(cluster, addFourth(), { rate: 8 });
  await running.event((progress) => progress.step === "copying");
  const [other, same] = [await cluster.admin(), await cluster.admin()];
  const text = await cluster.documentText();
  const refused = await Promise.all([
    codeOf(other.apply({ kind: "set-vnodes", name: cluster.servers[0]!, vnodes: 80 })),
    codeOf(same.apply(addFourth())),
  ]);
  expect(refused).toStrictEqual(["MIGRATION_RUNNING", "MIGRATION_RUNNING"]);
  expect(await cluster.documentText()).toBe(text);
  await running.kill();
  expect(await codeOf(other.apply({ kind: "remove-node", names: [cluster.servers[0]!] }))).toBe("MIGRATION_RUNNING");
  expect(await same.apply(addFourth())).toMatchObject({ resumed: true });
  expect(await other.apply({ kind: "remove-node", names: [cluster.servers[0]!] })).toMatchObject({ resumed: false });
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("a change that is stopped in D keeps out any other, until it is finished", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  await client.setMulti(entries(400));
  const admin = await cluster.admin();
  await stopInDual(admin, addFourth());
  const text = await cluster.documentText();
  const others: readonly Change[] = [
    { kind: "add-node", nodes: [{ address: bench.local.servers[4]! }] },
    { kind: "add-node", nodes: [{ address: bench.local.servers[3]!, weight: 2 }] },
    { kind: "remove-node", names: [bench.local.servers[3]!] },
    { kind: "set-weight", name: cluster.servers[0]!, weight: 2 },
  ];
  for (const other of others) expect(await codeOf(admin.apply(other))).toBe("MIGRATION_RUNNING");
  expect(await cluster.documentText()).toBe(text);
  expect(await admin.apply(addFourth())).toMatchObject({ resumed: true });
  expect(await admin.apply(others[2]!)).toMatchObject({ resumed: false });
});
