/** Processes that do not know, or did not notice, that the cluster has changed. */
import { expect, test } from "vitest";
import type { Change } from "../../src/index.ts";
import { audit } from "../support/audit.ts";
import { type TestCluster, useBench } from "../support/bench.ts";
import { Child } from "../support/children.ts";
import { RemoteCoordinator } from "../support/coordinator.ts";

const bench = useBench({ memcached: 5 });
const grow = (...servers: number[]): Change => ({
  kind: "add-node",
  nodes: servers.map((i) => ({ address: bench.local.servers[i]! })),
});

/** A process with a client that has written the keys, stopped. */
async function stoppedClient(cluster: TestCluster, keys: readonly string[]): Promise<Child> {
  const child = bench.own(new Child("client-child.mjs"));
  await child.ask({ where: cluster.where });
  await child.ask([["setMulti", keys.map((key) => [key, 1])]]); // it knows them as recorded from now on
  child.process.kill("SIGSTOP");
  return child;
}

test("a client stopped through a whole migration is right as soon as it goes on", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  const keys = Array.from({ length: 400 }, (_, i) => `k:${i}`);
  const stopped = await stoppedClient(cluster, keys);
  await (await cluster.admin()).apply(grow(3, 4)); // waits for the end of its registration
  const [deleted, changed, written] = [keys.slice(0, 100), keys.slice(100, 200), keys.slice(200, 300)];
  await client.deleteMulti(deleted);
  await client.setMulti(changed.map((key) => [key, 2] as const));
  const moved = keys.filter((key) => bench.local.servers.indexOf(client.locate(key).address) >= 3);
  expect(moved.length).toBeGreaterThan(80);

  // waiting for it when it wakes up: none of these may go by the old ring
  const now = new Map([...changed.map((key) => [key, 2] as const), ...keys.slice(200).map((key) => [key, 1] as const)]);
  const [first, ...rest] = await onWaking(stopped, [
    ["getMulti", keys],
    ...keys.map((key) => ["get", key]),
    ...written.map((key) => ["set", key, "late"]),
    ...deleted.map((key) => ["add", key, "late"]),
    ...changed.map((key) => ["incr", key, 5]),
  ]);
  expect(first).toStrictEqual(now);
  expect(rest).toStrictEqual([
    ...keys.map((key) => now.get(key)),
    ...written.map(() => true),
    ...deleted.map(() => true),
    ...changed.map(() => 7),
  ]);
  expect((await client.getMulti([...written, ...deleted])).size).toBe(200);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("a client that goes on before its time is up may leave strays behind, which do not come back", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  const admin = await cluster.admin();
  const others = await cluster.registered();
  const keys = Array.from({ length: 300 }, (_, i) => `k:${i}`);
  const stopped = await stoppedClient(cluster, keys);
  await cluster.forgetAllBut(others); // as if the hold-off were shorter than the time for which it believes its document
  await admin.apply(grow(3, 4));
  const answers = await onWaking(
    stopped,
    keys.map((key, i) => (i % 2 === 0 ? ["incr", key, 5] : ["set", key, "late"])),
  );
  const truth = await client.getMulti(keys);
  for (const [i, answer] of answers.entries()) {
    const [value, done] = [truth.get(keys[i]!), i % 2 === 0 ? 6 : "late"];
    if (answer === true || answer === 6) expect(value).toBe(done);
    else expect([value, answer]).toStrictEqual([value === done ? done : 1, { code: "AMBIGUOUS_WRITE" }]);
  }
  await stopped.stop();
  await cluster.forgetAllBut(others);
  const leaving = [bench.local.servers[3]!, bench.local.servers[4]!];
  await admin.apply({ kind: "remove-node", names: leaving });
  expect(await client.getMulti(keys)).toStrictEqual(truth);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

/** The answers to calls that wait for the process when it goes on. */
async function onWaking(stopped: Child, calls: readonly (readonly unknown[])[]): Promise<unknown[]> {
  const answers = stopped.ask<unknown[]>(calls);
  stopped.process.kill("SIGCONT");
  return answers;
}

/** Twenty rounds by default; GROW_ROUNDS=200 for the two hundred that a release is tried with. */
const ROUNDS = Number(process.env.GROW_ROUNDS ?? 20);

test("100 keys written through one client while another process grows 3 to 5 at once: all read back, every time", {
  timeout: 60_000 + ROUNDS * 5_000,
}, async () => {
  const coordinator = bench.own(new RemoteCoordinator());
  const phases = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const cluster = bench.cluster(3);
    const client = await cluster.client();
    const before = Array.from({ length: 300 }, (_, i) => [`before:${i}`, i] as const);
    await client.setMulti(before);
    await coordinator.begin(cluster, grow(3, 4), { rate: 1_000 });
    await coordinator.event(({ step }) => step === "planned");
    const keys = Array.from({ length: 100 }, (_, i) => `written:${round}:${i}`);
    for (let i = 0; i < keys.length; i += 4) {
      await Promise.all(keys.slice(i, i + 4).map((key) => client.set(key, `${key} of round ${round}`)));
      phases.add(client.topology().phase);
      await new Promise((resolve) => setTimeout(resolve, 4)); // some before, some after, most in the middle of it
    }
    expect(await coordinator.report()).toMatchObject({ resumed: false });
    expect(await client.getMulti(keys)).toStrictEqual(new Map(keys.map((key) => [key, `${key} of round ${round}`])));
    expect(await client.getMulti(before.map(([key]) => key))).toStrictEqual(new Map(before));
    expect(client.topology().nodes.length).toBe(5);
    await bench.closeAll([coordinator]);
  }
  expect(phases).toContain("D");
});
