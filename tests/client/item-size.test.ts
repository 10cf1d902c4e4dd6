/**
 * Values at and over the server's item size limit. memcached deletes the item that was there when an `ms` fails for its size, so a value
 * that is too large must never be sent.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient, isRingshiftError } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { codeOf } from "../support/bench.ts";

const LIMIT = 64 * 1024;

describe("servers with -I 64k", () => {
  let cluster: LocalCluster;
  let client: Client;
  let fresh: Client;
  beforeAll(async () => {
    cluster = await LocalCluster.start({
      memcached: 2,
      memcachedOptions: { args: ["-I", "64k", "-o", "slab_chunk_max=32768"] },
    });
    client = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
    fresh = await createClient({ redis: cluster.redis.url });
  });
  afterAll(async () => {
    await client.quit();
    await fresh.quit();
    await cluster.stop();
  });

  /** True when it was stored; false when it was refused as too large. */
  const stores = async (write: Promise<boolean>): Promise<boolean> => {
    try {
      expect(await write).toBe(true);
      return true;
    } catch (error) {
      if (isRingshiftError(error, "VALUE_TOO_LARGE")) return false;
      throw error;
    }
  };

  const COMMANDS: readonly [string, (key: string, value: unknown) => Promise<boolean>][] = [
    ["set", (key, value) => client.set(key, value)],
    ["replace", (key, value) => client.replace(key, value)],
    ["cas", async (key, value) => client.cas(key, value, (await client.gets(key))!.cas)],
    ["setMulti", (key, value) => client.setMulti({ [key]: value })],
    ["add over nothing", async (key, value) => (await client.delete(key)) && (await client.add(key, value))],
  ];
  const KINDS: readonly [string, (size: number) => unknown][] = [
    ["text", (size) => "t".repeat(size)],
    ["bytes", (size) => Buffer.alloc(size, 7)],
  ];

  describe.each(COMMANDS)("%s", (name, command) => {
    test.each(KINDS)(
      "of %s of every size around the limit stores the value or leaves the old one",
      async (kind, make) => {
        for (const key of ["k", `${name.replaceAll(" ", "-")}:${kind}:${"l".repeat(120)}`]) {
          const stored: number[] = [];
          const refused: number[] = [];
          for (let size = LIMIT - 80 - key.length; size <= LIMIT - 40 - key.length; size++) {
            await client.set(key, "old");
            const value = make(size);
            const fits = await stores(command(key, value));
            (fits ? stored : refused).push(size);
            const left = name.startsWith("add") ? undefined : "old";
            const found = await client.get(key);
            if (fits) expect(Buffer.from(found as string).equals(Buffer.from(value as string))).toBe(true);
            else expect(found).toBe(left);
          }
          expect(stored.length).toBeGreaterThan(0);
          expect(refused.length).toBeGreaterThan(0);
          expect(Math.max(...stored)).toBeLessThan(Math.min(...refused));
        }
      },
    );
  });

  test("what counts is bytes, not chars", async () => {
    await client.set("chars", "old");
    expect(await codeOf(client.set("chars", "é".repeat(LIMIT / 2)))).toBe("VALUE_TOO_LARGE");
    expect(await client.get("chars")).toBe("old");
  });

  test("a client that has not asked for the limits yet", async () => {
    await client.setMulti({ "first:a": "old", "first:b": "old", "first:c": "old" });
    const tooLarge = Object.fromEntries(["first:a", "first:b", "first:c"].map((key) => [key, "x".repeat(LIMIT)]));
    expect(await codeOf(fresh.setMulti(tooLarge))).toBe("VALUE_TOO_LARGE");
    expect((await client.getMulti(Object.keys(tooLarge))).size).toBe(3);
  });

  test("of several entries those that fit are stored", async () => {
    expect(await codeOf(client.setMulti({ "part:a": 1, "part:b": "x".repeat(LIMIT), "part:c": 3 }))).toBe(
      "VALUE_TOO_LARGE",
    );
    expect(await client.getMulti(["part:a", "part:b", "part:c"])).toStrictEqual(
      new Map([
        ["part:a", 1],
        ["part:c", 3],
      ]),
    );
  });
});

test("over the default limit of 1 MiB the old value stays", async () => {
  const cluster = await LocalCluster.start({ memcached: 1 });
  const client = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
  try {
    await client.set("big", "old");
    expect(await codeOf(client.set("big", Buffer.alloc(1024 * 1024)))).toBe("VALUE_TOO_LARGE");
    expect(await client.get("big")).toBe("old");
    for (let size = 1024 * 1024 - 80; size < 1024 * 1024 - 56; size++) {
      await stored(client, size);
    }
  } finally {
    await client.quit();
    await cluster.stop();
  }
});

/** Sets a value of the size; whatever comes of it, the key has a value afterwards. */
async function stored(client: Client, size: number): Promise<void> {
  await client.set("big", "old");
  const refusal = await client.set("big", Buffer.alloc(size)).then(
    () => undefined,
    (error: unknown) => error,
  );
  const left = await client.get<Buffer | string>("big");
  expect(left?.length, `${size} bytes: ${String(refusal)}`).toBe(refusal === undefined ? size : 3);
}
