/** Every command on real servers, in S and on keys that are moving in D. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { movingCluster, movingKeys, OLD_KEYS, stableCluster, type TestCluster } from "./support.ts";

describe.each(["stable", "moving"] as const)("in a %s cluster", (state) => {
  let cluster: TestCluster;
  let cache: Client;
  let next = 0;
  const fresh = () => (state === "stable" ? `key:${next++}` : movingKeys(cache, `key:${next++}:`, 1)[0]!);

  beforeAll(async () => {
    cluster = state === "stable" ? await stableCluster() : await movingCluster();
    cache = await cluster.client();
    expect(cache.topology().phase).toBe(state === "stable" ? "S" : "D");
  });

  test("append and prepend", async () => {
    const key = fresh();
    expect(await cache.append(key, "x")).toBe(false);
    expect(await cache.prepend(key, "x")).toBe(false);
    expect(await cache.get(key)).toBeUndefined();
    await cache.set(key, "b", { ttl: 100 });
    expect(await cache.append(key, "ç")).toBe(true);
    expect(await cache.prepend(key, Buffer.from("a"))).toBe(true);
    expect(await cache.get(key)).toBe("abç");
    expect((await cache.getMeta(key))!.ttl).toBeGreaterThan(90);
  });

  test("append that makes the value too large leaves the old value", async () => {
    const key = fresh();
    const half = Buffer.alloc(600_000, "x");
    await cache.set(key, half);
    await expect(cache.append(key, half)).rejects.toMatchObject({ code: "VALUE_TOO_LARGE", key });
    expect(half.equals((await cache.get<Buffer>(key))!)).toBe(true); // toEqual takes seconds for it
    await expect(cache.prepend(key, Buffer.alloc(1_100_000))).rejects.toMatchObject({ code: "VALUE_TOO_LARGE" });
    expect(half.equals((await cache.get<Buffer>(key))!)).toBe(true); // toEqual takes seconds for it
  });

  test("append where values may be compressed", async () => {
    const packing = await cluster.client({ compress: { algorithm: "brotli", threshold: 10 } });
    const key = fresh();
    await packing.set(key, "a".repeat(5000), { ttl: 500 });
    expect((await packing.getMeta(key))!.size).toBeLessThan(1000);
    expect(await packing.append(key, "end")).toBe(true);
    expect(await cache.get(key)).toBe(`${"a".repeat(5000)}end`);
    expect((await cache.getMeta(key))!.ttl).toBeGreaterThan(490);
    expect(await packing.append(fresh(), "end")).toBe(false);
  });

  test.each(["zlib", "brotli"] as const)(
    "append and prepend to a value that another client has compressed: %s",
    async (algorithm) => {
      const packing = await cluster.client({ compress: { algorithm, threshold: 10 } });
      const key = fresh();
      await packing.set(key, "a".repeat(5000), { ttl: 500 });
      expect(await cache.append(key, "end")).toBe(true);
      expect(await cache.get(key)).toBe(`${"a".repeat(5000)}end`);
      expect((await cache.getMeta(key))!.ttl).toBeGreaterThan(400);
      await packing.set(key, "a".repeat(5000));
      expect(await cache.prepend(key, "begin")).toBe(true);
      expect(await packing.get(key)).toBe(`begin${"a".repeat(5000)}`);
    },
  );

  test("append and prepend to a value that a single call has compressed", async () => {
    const key = fresh();
    await cache.set(key, "a".repeat(5000), { compress: true });
    expect(await cache.append(key, "end")).toBe(true);
    expect(await cache.prepend(key, "begin")).toBe(true);
    expect(await cache.get(key)).toBe(`begin${"a".repeat(5000)}end`);
  });

  test("gat answers the value and gives it a new TTL", async () => {
    const key = fresh();
    expect(await cache.gat(key, 10)).toBeUndefined();
    await cache.set(key, { a: 1 });
    expect(await cache.gat(key, 50)).toEqual({ a: 1 });
    const { ttl } = (await cache.getMeta(key))!;
    expect(ttl).toBeGreaterThan(40);
    expect(ttl).toBeLessThanOrEqual(50);
    expect(await cache.gat(key, 0)).toEqual({ a: 1 });
    expect((await cache.getMeta(key))!.ttl).toBeUndefined();
  });

  test("getMeta", async () => {
    const key = fresh();
    expect(await cache.getMeta(key)).toBeUndefined();
    await cache.set(key, "12345");
    for (let times = 0; times < 3; times++) {
      expect(await cache.getMeta(key)).toMatchObject({ ttl: undefined, size: 5, hitBefore: false, flags: 0 });
    }
    await cache.get(key);
    expect(await cache.getMeta(key)).toMatchObject({ hitBefore: true });
  });

  test("incr and decr create a counter from initial", async () => {
    const key = fresh();
    expect(await cache.incr(key)).toBeUndefined();
    expect(await cache.incr(key, 5, { initial: 10, ttl: 100 })).toBe(10);
    expect(await cache.incr(key, 5, { initial: 10 })).toBe(15);
    expect(await cache.get(key)).toBe(15);
    expect((await cache.getMeta(key))!.ttl).toBeGreaterThan(90);
    expect(await cache.decr(key, 6)).toBe(9);
    expect(await cache.get(key)).toBe(9);
    expect(await cache.decr(key, 100)).toBe(0);
    expect(await cache.increment(key)).toBe(1);
    expect(await cache.decrement(key, 1)).toBe(0);
    expect(await cache.decrement(fresh(), 1, { initial: 7 })).toBe(7);
  });

  test("many create one counter at once, and none of their steps is lost", async () => {
    const key = fresh();
    const other = await cluster.client();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => (i % 2 ? cache : other).incr(key, 1, { initial: 1 })),
    );
    expect(answers.toSorted((a, b) => a! - b!)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  });

  test("64 bits as bigint", async () => {
    const key = fresh();
    const most = 2n ** 64n - 1n;
    expect(await cache.incr(key, 1, { initial: most - 1n, bigint: true })).toBe(most - 1n);
    expect(await cache.incr(key, 1n, { bigint: true })).toBe(most);
    expect(await cache.get(key)).toBe(most);
    expect(await cache.incr(key, 1, { bigint: true })).toBe(0n);
    await expect(cache.incr(key, -1)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(cache.incr(key, 1, { initial: -1 })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await cache.set(key, "text");
    await expect(cache.incr(key, 1, { initial: 1 })).rejects.toMatchObject({ code: "NOT_NUMERIC", key });
  });

  test("add, replace, delete, touch, cas and their answers", async () => {
    const key = fresh();
    expect(await cache.replace(key, 1)).toBe(false);
    expect(await cache.touch(key, 5)).toBe(false);
    expect(await cache.delete(key)).toBe(false);
    expect(await cache.add(key, 1)).toBe(true);
    expect(await cache.add(key, 2)).toBe(false);
    expect(await cache.replace(key, 3)).toBe(true);
    const seen = (await cache.gets<number>(key))!;
    expect(seen.value).toBe(3);
    expect(await cache.cas(key, 4, seen.cas)).toBe(true);
    expect(await cache.cas(key, 5, seen.cas)).toBe(false);
    expect(await cache.touch(key, 5)).toBe(true);
    expect(await cache.get(key)).toBe(4);
    expect(await cache.del(key)).toBe(true);
    expect(await cache.get(key)).toBeUndefined();
  });

  test("stats and version by node", async () => {
    const { nodes } = cache.topology();
    const versions = await cache.version();
    expect(Object.keys(versions).sort()).toEqual(expect.arrayContaining(nodes.map((node) => node.name).sort()));
    for (const text of Object.values(versions)) expect(text).toMatch(/^\d+\.\d+/);
    const stats = await cache.stats();
    for (const node of nodes) expect(Number(stats[node.name]!.pid)).toBeGreaterThan(0);
    expect((await cache.stats("settings"))[nodes[0]!.name]!.item_size_max).toBe("1048576");
  });

  test("flush deletes this namespace's keys, wherever they are, and no other's", async () => {
    const other = await cluster.client({ namespace: "neighbour" });
    await other.setMulti({ a: 1, b: 2 });
    const key = fresh();
    await cache.set(key, 1);
    expect(await cache.flush()).toBeGreaterThan(0);
    expect(await cache.get(key)).toBeUndefined();
    expect((await cache.getMulti(OLD_KEYS)).size).toBe(0);
    expect((await other.getMulti(["a", "b"])).size).toBe(2);
    expect(await other.flush()).toBe(2);
    expect((await other.getMulti(["a", "b"])).size).toBe(0);
  });

  test("flush of everything leaves a cluster that works", async () => {
    const keys = Array.from({ length: 50 }, () => fresh());
    await cache.setMulti(keys.map((key) => [key, 1] as const));
    await cache.flush({ everything: true });
    expect((await cache.getMulti(keys)).size).toBe(0);
    await cache.setMulti(keys.map((key) => [key, 2] as const));
    expect([...(await cache.getMulti(keys)).values()]).toEqual(keys.map(() => 2));
    const plain = createPlain(cluster);
    await expect(plain).rejects.toMatchObject({ code: "CLUSTER_MANAGED" });
  });
});

async function createPlain(cluster: TestCluster): Promise<Client> {
  const { createClient } = await import("../../src/client/create.ts");
  return createClient({ servers: cluster.local.servers });
}
