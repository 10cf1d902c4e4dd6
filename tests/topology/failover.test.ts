/**
 * Redis restarts, fails over, is emptied or is not there. The cache goes on; nothing that was acknowledged is forgotten, so the next
 * change still finds every key. The scenarios wait for the same times to pass, so they run side by side, each on servers of its own.
 */
import { describe, expect, test } from "vitest";
import type { Admin, Client } from "../../src/index.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import { audit } from "../support/audit.ts";
import { Bench, type TestCluster, until } from "../support/bench.ts";

const KEYS = Array.from({ length: 400 }, (_, i) => `k:${i}`);
/** A confirmation takes a registration's time and some heartbeats: 5 s and a little. */
const CONFIRMED_WITHIN_MS = 25_000;

interface Scene {
  readonly bench: Bench;
  readonly cluster: TestCluster;
  readonly client: Client;
  /** Has written nothing: it knows no key as recorded. */
  readonly other: Client;
  readonly admin: Admin;
}

/** A cluster of three on servers of its own with a fourth beside it, two clients and 400 keys. */
async function scene(appendOnly: boolean, work: (scene: Scene) => Promise<void>): Promise<void> {
  const bench = new Bench();
  try {
    await bench.start({ memcached: 4, redis: { appendOnly } });
    const cluster = bench.cluster(3);
    const [client, other] = [await cluster.client(), await cluster.client()];
    const admin = await cluster.admin();
    await client.setMulti(KEYS.map((key) => [key, 1] as const));
    await work({ bench, cluster, client, other, admin });
  } finally {
    await bench.stop();
  }
}

const documentOf = async (cluster: TestCluster): Promise<TopologyDocument | null> =>
  JSON.parse((await cluster.documentText().catch(() => null)) ?? "null");

async function confirmed({ admin }: Scene): Promise<void> {
  const isConfirmed = async () => {
    await admin.topology();
    return admin.confirmed;
  };
  await until("the topology is confirmed", () => isConfirmed().catch(() => false), CONFIRMED_WITHIN_MS);
}

/** The change that has to find every key, and does not if the index has gaps that nobody knows of. */
async function growAndCheck({ bench, cluster, client, admin }: Scene, keys: readonly string[]): Promise<void> {
  await admin.apply({ kind: "add-node", nodes: [{ address: bench.local.servers[3]! }] });
  expect(await client.getMulti(keys)).toStrictEqual(new Map(keys.map((key) => [key, 1])));
  const { faults, keys: byServer } = await audit(cluster);
  expect(faults.filter((fault) => !fault.endsWith("is not in the set of its point"))).toStrictEqual([]);
  expect(byServer.get(bench.local.servers[3]!)!.size).toBeGreaterThan(keys.length / 8);
}

describe.concurrent("the cache goes on, and the next change finds every key", () => {
  test("when Redis restarts with nothing: a client puts the document back, and it is confirmed again", () =>
    scene(false, async (it) => {
      const { cluster, client, bench } = it;
      const before = await documentOf(cluster);
      await bench.local.redis.restart();
      await until("the document is back", async () => (await documentOf(cluster)) !== null);
      const back = await documentOf(cluster);
      expect(back).toStrictEqual(before);
      await until("the operator sees it", async () => (await it.admin.topology()).epoch === before!.epoch);
      expect(it.admin.confirmed).toBe(false);
      expect((await client.getMulti(KEYS)).size).toBe(KEYS.length);
      expect(await client.set("while-unconfirmed", 1)).toBe(true);
      await confirmed(it);
      expect(await documentOf(cluster)).toMatchObject({
        epoch: before!.epoch,
        untrusted: before!.nodes.map(({ name }) => name),
      });
      await growAndCheck(it, [...KEYS, "while-unconfirmed"]);
    }));

  test("when Redis restarts with what it had", () =>
    scene(true, async (it) => {
      const before = await documentOf(it.cluster);
      await it.bench.local.redis.restart();
      await until("Redis answers", async () => (await documentOf(it.cluster)) !== null);
      expect((await it.client.getMulti(KEYS)).size).toBe(KEYS.length);
      await confirmed(it);
      const { runId } = (await documentOf(it.cluster))!;
      expect(runId).not.toBe(before!.runId);
      await growAndCheck(it, KEYS);
    }));

  test("when somebody empties Redis without restarting it (FLUSHALL)", () =>
    scene(false, async (it) => {
      const { bench, cluster, client } = it;
      const { epoch } = (await documentOf(cluster))!;
      await bench.redis.flushall();
      await client.setMulti(KEYS.slice(0, 50).map((key) => [key, 1] as const));
      await until("the document is back", async () => (await documentOf(cluster)) !== null);
      expect((await documentOf(cluster))!.epoch).toBe(epoch);
      expect((await client.getMulti(KEYS)).size).toBe(KEYS.length);
      await confirmed(it);
      await growAndCheck(it, KEYS);
    }));

  test("when Redis is away for a while: keys written meanwhile are found by the mark on their server's fence", () =>
    scene(true, async (it) => {
      const { bench, cluster, client, other } = it;
      await bench.local.redis.kill();
      const written = Array.from({ length: 100 }, (_, i) => `without-redis:${i}`);
      await other.setMulti(written.map((key) => [key, 1] as const));
      for (let i = 0; i < 20; i++) {
        expect(await other.add(`added:${i}`, 1)).toBe(true);
        expect((await client.getMulti(KEYS)).size).toBe(KEYS.length);
        expect(await client.set(KEYS[i]!, 1)).toBe(true);
      }
      for (const address of cluster.servers) {
        const fence = await bench.item(address, cluster.names.fenceKey);
        expect(fence?.value?.toString()).toMatch(/^0 [0-9a-f]{16}( u)+$/);
      }
      await bench.local.redis.restart();
      await until("Redis answers", async () => (await documentOf(cluster)) !== null);
      await confirmed(it);
      await growAndCheck(it, [...KEYS, ...written, ...Array.from({ length: 20 }, (_, i) => `added:${i}`)]);
    }));

  test("when Redis restarts with nothing in the middle of a change", () =>
    scene(false, async (it) => {
      const { bench, cluster, client, admin } = it;
      let restart: Promise<void> | undefined;
      const onProgress = ({ step }: { step: string }) => {
        if (step === "copied") restart ??= bench.local.redis.restart();
      };
      const change = { kind: "add-node", nodes: [{ address: bench.local.servers[3]! }] } as const;
      const outcome = await admin.apply(change, { rate: 60, onProgress }).then(
        () => "done",
        (error: { code?: string }) => error.code,
      );
      expect(["done", "MIGRATION_STOPPED", "REDIS_UNREACHABLE"]).toContain(outcome);
      await restart;
      await confirmed(it);
      if (outcome !== "done") await admin.apply(change); // it may have been patient enough to go through
      expect(await documentOf(cluster)).toMatchObject({ phase: "S", migrations: 1 });
      expect(await client.getMulti(KEYS)).toStrictEqual(new Map(KEYS.map((key) => [key, 1])));
      const { faults } = await audit(cluster);
      expect(faults.filter((fault) => !fault.endsWith("is not in the set of its point"))).toStrictEqual([]);
    }));
});
