/** Long keys as their hash, and hash tags. */
import { describe, expect, test } from "vitest";
import { createClient } from "../../src/client/create.ts";
import { openAdmin } from "../../src/migration/admin.ts";
import { hashOf, keyHash, tagOf } from "../../src/ring/index.ts";
import { LocalCluster } from "../../src/testing/local-cluster.ts";
import { stableCluster } from "./support.ts";

describe("hashLongKeys", () => {
  test("long keys are stored under their sha256, and told apart", async () => {
    const { client } = await stableCluster(1);
    const [strict, hashing] = [await client(), await client({ hashLongKeys: true })];
    const long = "ü".repeat(200);
    await expect(strict.set(long, 1)).rejects.toMatchObject({ code: "INVALID_KEY" });
    await hashing.setMulti({ [long]: 1, [`${long}x`]: 2, short: 3 });
    expect(await hashing.getMulti([long, `${long}x`, "short"])).toEqual(
      new Map([
        [long, 1],
        [`${long}x`, 2],
        ["short", 3],
      ]),
    );
    expect(hashing.locate(long).wireKey).toMatch(/^sha256-[0-9a-f]{64}$/);
    expect(await strict.get("short")).toBe(3);
    expect(hashing.locate("k".repeat(250)).wireKey).toBe("k".repeat(250));
    expect(hashing.locate("k".repeat(251)).wireKey).not.toBe("k".repeat(251));
    await expect(hashing.get(`${long}\ud800`)).rejects.toMatchObject({ code: "INVALID_KEY" });
    await expect(hashing.get("a b")).rejects.toMatchObject({ code: "INVALID_KEY" });
  });
});

describe("hash tags", () => {
  test.each([
    ["{user:1}:a", "user:1"],
    ["x{user:1}{b}", "user:1"],
    ["{}a", "{}a"],
    ["{open", "{open"],
    ["}a{", "}a{"],
    ["plain", "plain"],
  ])("the tag of %s is %s", (key, tag) => {
    expect(tagOf(key)).toBe(tag);
    expect(hashOf(key, true)).toBe(keyHash(tag));
    expect(hashOf(key, false)).toBe(keyHash(key));
  });

  test("keys of one tag live together, before and after a change, and contradictions are refused", async () => {
    const local = await LocalCluster.start({ memcached: 2 });
    const options = { redis: local.redis.url, servers: local.servers };
    const cache = await createClient({ ...options, hashTags: true });
    const admin = await openAdmin({ redis: local.redis.url });
    try {
      await expect(createClient({ ...options, hashTags: false })).rejects.toMatchObject({ code: "CONFIG_MISMATCH" });
      const follower = await createClient({ redis: local.redis.url });
      const users = Array.from({ length: 200 }, (_, i) => [`{user:${i}}:a`, `{user:${i}}:b`] as const);
      await cache.setMulti(users.flat().map((key) => [key, `value of ${key}`] as const));
      await admin.apply({ kind: "add-node", nodes: [{ address: (await local.addMemcached()).address }] });
      const homes = users.map(([a, b]) => [cache.locate(a).node, cache.locate(b).node] as const);
      for (const [a, b] of homes) expect(a).toBe(b);
      expect(new Set(homes.map(([a]) => a)).size).toBe(3);
      for (const client of [cache, follower]) {
        const values = await client.getMulti(users.flat());
        expect([...values].every(([key, value]) => value === `value of ${key}`)).toBe(true);
        expect(values.size).toBe(400);
      }
      await follower.quit();
    } finally {
      await Promise.all([cache.quit(), admin.close()]);
      await local.stop();
    }
  });
});
