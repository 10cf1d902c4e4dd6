/** Options of single calls that nobody has: refused before any I/O, with what was meant. */
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";

let server: ScriptedServer;
let cache: Client;

beforeAll(async () => {
  server = await ScriptedServer.listen(answerEmpty);
  cache = await createClient({ servers: [server.address] });
});

afterAll(async () => {
  await cache.quit();
  await server.close();
});

/** As a caller without types would. */
type Untyped = Readonly<Record<string, (...words: unknown[]) => Promise<unknown>>>;

test.each([
  ["a misspelt TTL", "set", ["k", 1, { tll: 5 }], "set knows no option tll: did you mean ttl?"],
  ["another client's word", "add", ["k", 1, { expires: 5 }], "add knows no option expires: did you mean ttl?"],
  ["another's of other case", "set", ["k", 1, { maxAge: 5 }], "set knows no option maxAge: did you mean ttl?"],
  ["a bare TTL", "set", ["k", 1, 300], "set takes its options as an object, { ttl: 300 }, not 300."],
  ["a TTL where there is none", "get", ["k", { ttl: 5 }], "get knows no option ttl: it has signal."],
  ["null", "set", ["k", 1, null], "set takes its options as an object, { ttl: 300 }, not null."],
  ["a callback", "get", ["k", () => {}], "get takes its options as an object"],
  ["of a counter", "incr", ["k", 1, { inital: 5 }], "incr knows no option inital: did you mean initial?"],
  ["of its alias", "increment", ["k", 1, { inital: 5 }], "incr knows no option inital: did you mean initial?"],
  ["of a multi form", "setMulti", [{ k: 1 }, { tll: 5 }], "setMulti knows no option tll: did you mean ttl?"],
  ["of getMulti", "getMulti", [["k"], { fail: 1 }], "getMulti knows no option fail: it has signal, failed."],
  ["of getOrSet", "getOrSet", ["k", 1, () => 1, { staleTTL: 5 }], "did you mean staleTtl?"],
  ["of flush", "flush", [{ all: true }], "flush knows no option all: it has everything."],
  ["entries that are no pairs", "setMulti", [["ab"]], "setMulti takes an object, a Map, or a list"],
  ["a list for options", "set", ["k", 1, []], "set takes its options as an object, { ttl: 300 }, not a list."],
  ["no entries", "setMulti", [null], "setMulti takes an object, a Map, or a list"],
  ["entries that are missing", "setMulti", [undefined], "setMulti takes an object, a Map, or a list"],
  ["entries that are a number", "setMulti", [5], "setMulti takes an object, a Map, or a list"],
  ["entries that are text", "setMulti", ["ab"], "setMulti takes an object, a Map, or a list"],
  [
    "entries that are promised",
    "setMulti",
    [Promise.resolve([["k", 1]])],
    "setMulti takes an object, a Map, or a list",
  ],
  ["entries that are a date", "setMulti", [new Date()], "setMulti takes an object, a Map, or a list"],
  [
    "entries in a class",
    "setMulti",
    [
      new (class Entry {
        k = 1;
      })(),
    ],
    "give the fields: { ...object }.",
  ],
  ["keys that are text", "getMulti", ["abc"], 'getMulti takes a list of keys, getMulti(["key"]), not "abc".'],
  ["keys that are null", "getMulti", [null], "getMulti takes a list of keys"],
  ["keys that are no list", "deleteMulti", [5], "deleteMulti takes a list of keys"],
  ["a signal that is none", "get", ["k", { signal: 5 }], "get: signal is an AbortSignal, not 5."],
  ["a signal of null", "getMulti", [["k"], { signal: null }], "getMulti: signal is an AbortSignal, not null."],
  ["an object for a signal", "set", ["k", 1, { signal: {} }], "set: signal is an AbortSignal, not an object."],
  ["failed that is no Map", "getMulti", [["a b"], { failed: {} }], "getMulti: failed is a Map, not an object."],
  ["the same of deleteMulti", "deleteMulti", [["a b"], { failed: [] }], "deleteMulti: failed is a Map"],
  ["text for true", "flush", [{ everything: "no" }], 'flush: everything is true or false, not "no".'],
  ["getOrSet without load", "getOrSet", ["k", 10], "getOrSet takes a function that makes the value"],
])("%s", async (_, command, words, message) => {
  const asked = server.requests.length;
  const call = (cache as unknown as Untyped)[command]!.bind(cache)(...words);
  await expect(call).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining(message) });
  expect(server.requests.length).toBe(asked);
});

test.each([
  ["a TTL", "set", ["k", 1, { ttl: null }], "INVALID_TTL", "k"],
  ["a TTL", "add", ["k", 1, { ttl: null }], "INVALID_TTL", "k"],
  ["a TTL", "setMulti", [{ k: 1 }, { ttl: null }], "INVALID_TTL", undefined],
  ["a TTL", "incr", ["k", 1, { initial: 1, ttl: null }], "INVALID_TTL", "k"],
  ["a TTL", "touch", ["k", null], "INVALID_TTL", "k"],
  ["compress", "set", ["k", 1, { compress: null }], "INVALID_OPTION", undefined],
])("%s of null is not an absent one: %s", async (_, command, words, code, key) => {
  const packing = await createClient({ servers: [server.address], compress: { threshold: 1 } });
  const call = (packing as unknown as Untyped)[command]!.bind(packing)(...words);
  await expect(call).rejects.toMatchObject({ code, key, message: expect.stringContaining("not null.") });
  await packing.quit();
});

/** What has no text of its own. */
const TEXTLESS: readonly [string, unknown][] = [
  ["a symbol", Symbol("s")],
  ["an object without a prototype", Object.create(null)],
];

test.each(TEXTLESS)("%s is refused with a RingshiftError wherever it is given", async (_, value) => {
  const refused: readonly [string, unknown[], string][] = [
    ["touch", ["k", value], "INVALID_TTL"],
    ["gat", ["k", value], "INVALID_TTL"],
    ["getOrSet", ["k", value, () => 1], "INVALID_TTL"],
    ["set", ["k", 1, { ttl: value }], "INVALID_TTL"],
    ["incr", ["k", value], "INVALID_OPTION"],
    ["incr", ["k", 1, { initial: value }], "INVALID_OPTION"],
    ["get", [value], "INVALID_KEY"],
    ["set", [value, 1], "INVALID_KEY"],
    ["getMulti", [[value]], "INVALID_KEY"],
    ["setMulti", [[[value, 1]]], "INVALID_KEY"],
    ["set", ["k", 1, { compress: { algorithm: value } }], "INVALID_OPTION"],
    ["set", ["k", 1, { compress: { threshold: value } }], "INVALID_OPTION"],
    ["get", ["k", { signal: value }], "INVALID_OPTION"],
    ["getMulti", [["k"], { failed: value }], "INVALID_OPTION"],
    ["flush", [{ everything: value }], "INVALID_OPTION"],
    ["stats", [value], "INVALID_OPTION"],
  ];
  for (const [command, words, code] of refused) {
    const call = (cache as unknown as Untyped)[command]!.bind(cache)(...words);
    await expect(call, command).rejects.toMatchObject({ name: "RingshiftError", code });
  }
  expect(() => cache.on(value as never, () => {})).toThrow("There is no event");
});

test("known ones pass, undefined ones too", async () => {
  const { signal } = new AbortController();
  expect(await cache.set("k", 1, { ttl: 5, compress: undefined, signal })).toBe(true);
  expect(await cache.get("k", undefined)).toBeUndefined();
  expect(await cache.setMulti(["a", "b"].map((key) => [key, 1]))).toBe(true);
  for (const made of ["{ a: 1 }", "Object.assign(Object.create(null), { a: 1 })", "new Map([['a', 1]])"]) {
    const asked = server.requests.length;
    expect(await cache.setMulti(runInNewContext(`(${made})`) as object)).toBe(true); // of another realm, as in Jest
    expect(server.requests.slice(asked).map(({ line }) => line)).toContain("ms a 1 T0 F8");
  }
});

test("an event that there is not", () => {
  const listen = cache.on.bind(cache) as (event: string, listener: () => void) => void;
  expect(() => listen("nodedown", () => {})).toThrow("There is no event nodedown: did you mean nodeDown?");
  expect(() => listen("error", () => {})).toThrow("There is no event error: there are hit, miss");
});

test.each([null, { data: "x", flags: 0 }, {}])("a serializer that answers %j is INVALID_VALUE", async (answer) => {
  const serializer = { serialize: () => answer as never, deserialize: () => undefined };
  const own = await createClient({ servers: [server.address], serializer });
  await expect(own.set("k", 1)).rejects.toMatchObject({ code: "INVALID_VALUE", key: "k" });
  await own.quit();
});

test.each([
  ["those of a placeholder without the bits of compression", 0x52505048],
  ["a symbol", Symbol("s")],
  ["a bigint", 5n],
])("a serializer's flags: %s are INVALID_VALUE", async (_, flags) => {
  const serialize = () => ({ data: Buffer.alloc(4_000), flags: flags as number });
  const own = await createClient({
    servers: [server.address],
    serializer: { serialize, deserialize: () => undefined },
  });
  await expect(own.set("k", 1)).rejects.toMatchObject({ code: "INVALID_VALUE", key: "k" });
  await own.quit();
});

test("staleTtl and earlyRefresh go as numbers that memcached reads", async () => {
  const asked = server.requests.length;
  const options = { staleTtl: 1e21, earlyRefresh: 5 };
  await cache.getOrSet("long", 10, () => 1, { ...options, signal: AbortSignal.timeout(50) }).catch(() => {});
  const [line] = server.requests.slice(asked).flatMap(({ line }) => (line.startsWith("mg long") ? [line] : []));
  expect(line).toContain(" R2147483647");
});
