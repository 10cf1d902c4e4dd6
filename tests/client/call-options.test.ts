/** Options of single calls that nobody has: refused before any I/O, with what was meant. */
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
])("%s", async (_, command, words, message) => {
  const asked = server.requests.length;
  const call = (cache as unknown as Untyped)[command]!.bind(cache)(...words);
  await expect(call).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining(message) });
  expect(server.requests.length).toBe(asked);
});

test("known ones pass, undefined ones too", async () => {
  const { signal } = new AbortController();
  expect(await cache.set("k", 1, { ttl: 5, compress: undefined, signal })).toBe(true);
  expect(await cache.get("k", undefined)).toBeUndefined();
  expect(await cache.setMulti(["a", "b"].map((key) => [key, 1]))).toBe(true);
});
