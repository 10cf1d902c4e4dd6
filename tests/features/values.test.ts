/** What comes back is what was stored: by flags, hooks, compression; and what other clients store and read. */
import { randomBytes } from "node:crypto";
import memjs from "memjs";
import { beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { Codec, decode, encode } from "../../src/client/codec.ts";
import { metaGet, metaSet, PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { LinkPool } from "../../src/memcached/pool.ts";
import { stableCluster, type TestCluster } from "./support.ts";

let cluster: TestCluster;
let cache: Client;

beforeAll(async () => {
  cluster = await stableCluster();
  cache = await cluster.client();
});

test.each([
  ["text", "héllo \r\n\0 wörld", 0],
  ["no text", "", 0],
  ["a number", -12.5e-7, 8],
  ["zero", 0, 8],
  ["a bigint", -(2n ** 80n), 24],
  ["true", true, 2],
  ["false", false, 2],
  ["null", null, 2],
  ["an object", { a: [1, { b: null }] }, 2],
  ["an array", [1, "2", true], 2],
  ["bytes", Buffer.from([0, 255, 13, 10]), 4],
])("%s comes back as it was", async (_, value, flags) => {
  expect(await cache.set("v", value)).toBe(true);
  expect(await cache.get("v")).toEqual(value);
  expect((await cache.gets("v"))!.value).toEqual(value);
  expect((await cache.getMeta("v"))!.flags).toBe(flags);
});

test("a Uint8Array's own part of its memory is stored", async () => {
  const whole = Uint8Array.from([1, 2, 3, 4]);
  await cache.set("v", whole.subarray(1, 3));
  expect(await cache.get("v")).toEqual(Buffer.from([2, 3]));
});

test.each([
  ["undefined", undefined],
  ["NaN", Number.NaN],
  ["a function", () => 1],
  ["a symbol", Symbol("s")],
  ["a bigint within JSON", { n: 1n }],
])("%s is refused before anything is sent", async (_, value) => {
  await cache.set("kept", "old");
  await expect(cache.set("kept", value)).rejects.toMatchObject({ code: "INVALID_VALUE", key: "kept" });
  await expect(cache.setMulti({ other: 1, kept: value })).rejects.toMatchObject({ code: "INVALID_VALUE" });
  expect(await cache.get("kept")).toBe("old");
  expect(await cache.get("other")).toBeUndefined();
});

describe("compression", () => {
  const text = "lorem ipsum ".repeat(1000);

  test.each(["zlib", "brotli"] as const)("%s above the threshold, read by who has it not", async (algorithm) => {
    const packing = await cluster.client({ compress: { algorithm, threshold: 2000 } });
    for (const value of [text, { text }, Buffer.from(text)]) {
      await packing.set("big", value);
      expect((await cache.getMeta("big"))!.size).toBeLessThan(1000);
      expect(await cache.get("big")).toEqual(value);
      expect(await packing.get("big")).toEqual(value);
    }
    await packing.set("small", "x".repeat(1999));
    expect((await cache.getMeta("small"))!.size).toBe(1999);
  });

  test("per call, and only where it makes the item smaller", async () => {
    await cache.set("p", text, { compress: { algorithm: "brotli", threshold: 0 } });
    expect((await cache.getMeta("p"))!.size).toBeLessThan(1000);
    await cache.set("p", text, { compress: true });
    expect((await cache.getMeta("p"))!.flags).toBe(0x10000);
    const noise = randomBytes(5000);
    await cache.set("p", noise, { compress: true });
    expect(await cache.getMeta("p")).toMatchObject({ size: 5000, flags: 4 });
    const packing = await cluster.client({ compress: {} });
    await packing.set("p", text, { compress: false });
    expect((await cache.getMeta("p"))!.size).toBe(text.length);
  });

  test("bytes that are not what their flags say are a PROTOCOL_ERROR", () => {
    for (const flags of [0x10000, 0x20000, 2, 24]) {
      expect(() => decode(Buffer.from("{nonsense"), flags)).toThrowError(
        expect.objectContaining({ code: "PROTOCOL_ERROR" }),
      );
    }
  });

  test("unknown algorithms and thresholds are refused", async () => {
    await expect(cluster.client({ compress: { algorithm: "lzw" as "zlib" } })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
    await expect(cluster.client({ compress: { threshold: -1 } })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    await expect(cache.set("p", "x", { compress: { threshold: 1.5 } })).rejects.toMatchObject({
      code: "INVALID_OPTION",
    });
  });
});

describe("a serializer", () => {
  const FLAG_DATE = 1 << 8;
  const serializer = {
    serialize: (value: unknown) =>
      value instanceof Date ? { data: Buffer.from(value.toISOString()), flags: FLAG_DATE } : undefined,
    deserialize: (data: Buffer, flags: number) => (flags === FLAG_DATE ? new Date(data.toString()) : undefined),
  };

  test("takes what it knows and leaves the rest", async () => {
    const dated = await cluster.client({ serializer, compress: { threshold: 0 } });
    const date = new Date(1234567890123);
    await dated.set("d", date);
    expect(await dated.get("d")).toEqual(date);
    await dated.set("d", { plain: "x".repeat(100) });
    expect(await dated.get("d")).toEqual({ plain: "x".repeat(100) });
  });

  test("that takes every value leaves a counter's initial alone: memcached counts on it", async () => {
    const FLAG_SEALED = 1 << 9;
    const sealing = await cluster.client({
      serializer: {
        serialize: (value: unknown) => ({ data: Buffer.from(`sealed ${JSON.stringify(value)}`), flags: FLAG_SEALED }),
        deserialize: (data: Buffer, flags: number) =>
          flags === FLAG_SEALED ? JSON.parse(data.toString().slice("sealed ".length)) : undefined,
      },
    });
    expect(await sealing.incr("sealed:n", 1, { initial: 5 })).toBe(5);
    expect(await sealing.incr("sealed:n", 1, { initial: 5 })).toBe(6);
    expect(await sealing.get("sealed:n")).toBe(6);
    expect(await sealing.decr("sealed:b", 1, { initial: 2n ** 60n, bigint: true })).toBe(2n ** 60n);
    expect(await sealing.get("sealed:b")).toBe(2n ** 60n);
  });

  test("may not use the bits that ringshift reads", () => {
    for (const flags of [0x10000, PLACEHOLDER_FLAGS, -1, 2 ** 32, 0.5]) {
      const codec = new Codec({ ...serializer, serialize: () => ({ data: Buffer.alloc(1), flags }) });
      expect(() => codec.encode("x", "k")).toThrowError(expect.objectContaining({ code: "INVALID_VALUE", key: "k" }));
    }
  });

  test("what it throws is the cause of a coded error", () => {
    const fault = new Error("no");
    const broken = new Codec({
      serialize: () => {
        throw fault;
      },
      deserialize: () => {
        throw fault;
      },
    });
    expect(() => broken.encode(1, "k")).toThrowError(expect.objectContaining({ code: "INVALID_VALUE", cause: fault }));
    const { data, flags } = encode(1, "k");
    expect(() => broken.decode(data, flags)).toThrowError(expect.objectContaining({ code: "PROTOCOL_ERROR" }));
  });
});

describe("other clients", () => {
  test("memjs stores without flags, and reads our text and bytes", async () => {
    const { address } = cache.locate("shared");
    const theirs = memjs.Client.create(address, { logger: { log: () => {} } as never });
    try {
      await theirs.set("shared", "from memjs", { expires: 100 });
      expect(await cache.get("shared")).toBe("from memjs");
      await cache.set("shared", "from ringshift");
      expect(String((await theirs.get("shared")).value)).toBe("from ringshift");
    } finally {
      theirs.quit();
    }
  });

  test.each([
    ["2", '{"a":1}', { a: 1 }],
    ["8", "42", 42],
    ["4", "\u0000\u0001", Buffer.from([0, 1])],
    ["0", "plain", "plain"],
  ])("flags %s of node-memcached", async (flags, bytes, value) => {
    const pool = new LinkPool();
    const { address } = cache.locate("theirs");
    const put = metaSet("theirs", Buffer.from(bytes), { flags: Number(flags), ttl: 0 });
    await pool.link({ name: "n", address }).exchange([put, metaGet("theirs", "f")]);
    await pool.close();
    expect(await cache.get("theirs")).toEqual(value);
  });
});
