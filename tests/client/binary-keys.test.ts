/** Keys with blanks, control characters and NUL (`binaryKeys: "base64"`): every command, and a change of the ring that moves them. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient, keyOfBytes, openAdmin } from "../../src/index.ts";
import { LocalCluster, startMemcached } from "../../src/testing/index.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { movingCluster, movingKeys, type TestCluster } from "../features/support.ts";

/** One for each byte that text keys must not hold, and what an injection would look like. */
const ODD = [
  ...Array.from({ length: 33 }, (_, code) => `key ${String.fromCharCode(code)} end`),
  "\x7f",
  " ",
  "\0",
  "\r\n",
  "x\r\nflush_all\r\n",
  "é \u{1f600}\n",
  "shop:\nkey",
];

test("what is sent: base64 with the flag b, and text keys as ever", async () => {
  const server = await ScriptedServer.listen(answerEmpty);
  const cache = await createClient({ servers: [server.address], binaryKeys: "base64" });
  try {
    await cache.get("a b");
    await cache.set("a b", "v", { ttl: 5 });
    await cache.delete("a b");
    await cache.get("a/b");
    const lines = server.requests.map(({ line }) => line).filter((line) => !line.includes("ringshift:managed"));
    expect(lines).toEqual(["mg YSBi b v f", "ms YSBi 1 b T5 F0", "mg YSBi b T2592001 f", "mg YSBi b", "mg a/b v f"]);
  } finally {
    await cache.quit();
    await server.close();
  }
});

test("the binary protocol has such keys as they are: both protocols mean the same item", async () => {
  const server = await startMemcached();
  const options = { servers: [server.address], binaryKeys: "base64" } as const;
  const [meta, binary] = [await createClient(options), await createClient({ ...options, protocol: "binary" })];
  try {
    for (const key of ODD) {
      await meta.set(key, key);
      expect(await binary.get(key)).toBe(key);
      expect(await binary.append(key, "!")).toBe(true);
      expect(await meta.get(key)).toBe(`${key}!`);
      expect(await binary.delete(key)).toBe(true);
      expect(await meta.add(key, 1)).toBe(true);
    }
  } finally {
    await Promise.all([meta.quit(), binary.quit()]);
    await server.stop();
  }
});

describe("in a cluster", () => {
  let cluster: LocalCluster;
  let cache: Client;

  beforeAll(async () => {
    cluster = await LocalCluster.start({ memcached: 2 });
    cache = await createClient({ redis: cluster.redis.url, servers: cluster.servers, binaryKeys: "base64" });
  });

  afterAll(async () => {
    await cache?.quit();
    await cluster?.stop();
  });

  test.each(ODD)("every command on %j", async (key) => {
    expect(await cache.get(key)).toBeUndefined();
    expect(await cache.set(key, "one", { ttl: 1000 })).toBe(true);
    expect(await cache.get(key)).toBe("one");
    expect(await cache.add(key, "two")).toBe(false);
    expect(await cache.replace(key, "two")).toBe(true);
    expect(await cache.append(key, "!")).toBe(true);
    expect(await cache.prepend(key, "?")).toBe(true);
    const seen = (await cache.gets<string>(key))!;
    expect(seen.value).toBe("?two!");
    expect(await cache.cas(key, "three", seen.cas)).toBe(true);
    expect(await cache.cas(key, "four", seen.cas)).toBe(false);
    expect(await cache.touch(key, 500)).toBe(true);
    expect(await cache.gat(key, 600)).toBe("three");
    expect((await cache.getMeta(key))!.size).toBe(5);
    expect(await cache.delete(key)).toBe(true);
    expect(await cache.delete(key)).toBe(false);
    expect(await cache.incr(key, 2, { initial: 5 })).toBe(5);
    expect(await cache.decr(key)).toBe(4);
    expect(await cache.deleteMulti([key])).toEqual(new Map([[key, true]]));
    expect(await cache.getOrSet(key, 10, () => "loaded")).toBe("loaded");
    expect(await cache.getMulti([key, "other"])).toEqual(new Map([[key, "loaded"]]));
  });

  test("the index lists a key's bytes, and verify finds every one of them", async () => {
    await cache.setMulti(ODD.map((key) => [key, key]));
    const redis = new Redis(cluster.redis.url);
    const admin = await openAdmin({ redis: cluster.redis.url });
    try {
      for (const key of ODD) expect(await redis.sismember(cache.locate(key).set!, Buffer.from(key, "utf8"))).toBe(1);
      expect(await admin.verify({ full: true })).toMatchObject({ clean: true, keys: ODD.length });
    } finally {
      redis.disconnect();
      await admin.close();
    }
  });

  test("two keys of the same text, one with and one without the odd byte, are two", async () => {
    await cache.setMulti({ YSBi: "text", "a b": "binary" });
    expect(await cache.getMulti(["YSBi", "a b"])).toEqual(
      new Map([
        ["YSBi", "text"],
        ["a b", "binary"],
      ]),
    );
  });

  test("flush finds them, of this namespace alone", async () => {
    await cache.flush(); // the key "shop:..." of the default namespace would be in shop's way
    const shop = await createClient({
      redis: cluster.redis.url,
      servers: cluster.servers,
      namespace: "shop",
      binaryKeys: "base64",
    });
    try {
      await shop.set("\nkey", "theirs");
      await cache.setMulti(ODD.filter((key) => !key.startsWith("shop:")).map((key) => [key, 1]));
      expect(await cache.flush()).toBe(ODD.length - 1);
      expect(await shop.get("\nkey")).toBe("theirs");
    } finally {
      await shop.quit();
    }
  });

  test("186 bytes with the prefix is the most, 250 for text keys; hashLongKeys takes longer ones", async () => {
    expect(await cache.set(` ${"k".repeat(185)}`, 1)).toBe(true);
    await expect(cache.set(` ${"k".repeat(186)}`, 1)).rejects.toMatchObject({ code: "INVALID_KEY" });
    expect(await cache.set("k".repeat(250), 1)).toBe(true);
    const hashing = await createClient({ redis: cluster.redis.url, binaryKeys: "base64", hashLongKeys: true });
    try {
      for (const key of [` ${"k".repeat(186)}`, ` ${"k".repeat(185)}`, "é ".repeat(100)]) {
        expect(await hashing.set(key, key)).toBe(true);
        expect(await hashing.get(key)).toBe(key);
      }
      expect(hashing.locate(` ${"k".repeat(185)}`).wireKey).toBe(` ${"k".repeat(185)}`);
      expect(hashing.locate(` ${"k".repeat(186)}`).wireKey).toMatch(/^sha256-/);
    } finally {
      await hashing.quit();
    }
  });

  test("without the option such keys are refused; what is reserved stays reserved", async () => {
    const strict = await createClient({ redis: cluster.redis.url });
    try {
      await expect(strict.get("a b")).rejects.toMatchObject({
        code: "INVALID_KEY",
        message: expect.stringContaining('binaryKeys: "base64"'),
      });
    } finally {
      await strict.quit();
    }
    await expect(cache.get("ringshift:fence:a b")).rejects.toMatchObject({ code: "INVALID_KEY" });
    const bad = createClient({ redis: cluster.redis.url, binaryKeys: "hex" as never });
    await expect(bad).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("while keys move", () => {
  let cluster: TestCluster & { readonly finish: () => Promise<unknown> };
  let cache: Client;
  let keys: string[];

  beforeAll(async () => {
    cluster = await movingCluster();
    cache = await cluster.client({ binaryKeys: "base64" });
    keys = movingKeys(cache, "moving \r\n", 40);
  });

  test("what a client writes arrives, what it deletes stays away, and clients agree", async () => {
    const other = await cluster.client({ binaryKeys: "base64" });
    await cache.setMulti(
      keys.map((key) => [key, key]),
      { ttl: 1000 },
    );
    for (const key of keys.slice(0, 5)) expect(await other.delete(key)).toBe(true);
    expect(await other.incr("counter \n", 1, { initial: 7 })).toBe(7);
    expect((await other.getMulti(keys)).size).toBe(35);
    expect(await other.getOrSet(keys[0]!, 10, () => "loaded")).toBe("loaded");
    expect(await cache.get(keys[0]!)).toBe("loaded");
  });

  test("and after the change they are where they belong, with TTL", async () => {
    await cluster.finish();
    await expect.poll(() => cache.topology().phase, { timeout: 20_000 }).toBe("S");
    expect((await cache.getMulti(keys)).size).toBe(36);
    const { ttl } = (await cache.getMeta(keys[10]!))!;
    expect(ttl).toBeGreaterThan(900);
    expect(ttl).toBeLessThanOrEqual(1001);
    const admin = await openAdmin({ redis: cluster.local.redis.url });
    expect(await admin.verify({ full: true })).toMatchObject({ clean: true });
    await admin.close();
  });
});

test("a copier moves them: every value, flag and TTL, both ways", async () => {
  const cluster = await LocalCluster.start({ memcached: 2 });
  const cache = await createClient({ redis: cluster.redis.url, servers: cluster.servers, binaryKeys: "base64" });
  const admin = await openAdmin({ redis: cluster.redis.url });
  try {
    const keys = Array.from({ length: 500 }, (_, i) => `key\n${i} \0`);
    const big = Buffer.alloc(300_000, "x");
    await cache.setMulti(
      keys.map((key) => [key, { key }]),
      { ttl: 5000 },
    );
    await cache.setMulti(keys.slice(0, 20).map((key) => [key, big]));
    const joining = await cluster.addMemcached();
    const { moved } = await admin.apply({ kind: "add-node", nodes: [{ address: joining.address }] });
    expect(moved).toBeGreaterThan(50);
    const check = async () => {
      const found = await cache.getMulti<object>(keys);
      expect(found.size).toBe(keys.length);
      for (const key of keys.slice(20)) expect(found.get(key)).toEqual({ key });
      for (const key of keys.slice(0, 20)) expect(big.equals(found.get(key) as Buffer)).toBe(true);
    };
    await check();
    await admin.apply({ kind: "remove-node", names: [joining.address] });
    await check();
    expect((await cache.getMeta(keys[30]!))!.ttl).toBeGreaterThan(4900);
    expect((await cache.getMeta(keys[3]!))!.ttl).toBeUndefined();
    expect(await admin.verify({ full: true })).toMatchObject({ clean: true, keys: 500 });
  } finally {
    await Promise.all([cache.quit(), admin.close()]);
    await cluster.stop();
  }
});

test("keys of bytes that are no UTF-8 are listed, moved and found like all others", async () => {
  const cluster = await LocalCluster.start({ memcached: 2 });
  const cache = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
  const admin = await openAdmin({ redis: cluster.redis.url });
  try {
    const keys = Array.from({ length: 200 }, (_, i) =>
      keyOfBytes(Buffer.from([0xff, 0x80 + (i % 64), 0x30 + (i >> 6)])),
    );
    await cache.setMulti(keys.map((key, i) => [key, i] as const));
    const joining = await cluster.addMemcached();
    const report = await admin.apply({ kind: "add-node", nodes: [{ address: joining.address }] });
    expect(report.moved).toBeGreaterThan(0);
    expect([...(await cache.getMulti(keys)).values()]).toEqual(keys.map((_, i) => i));
    expect(await admin.verify({ full: true })).toMatchObject({ clean: true, keys: 200 });
  } finally {
    await Promise.all([cache.quit(), admin.close()]);
    await cluster.stop();
  }
});
