/** Calls that are under way when the client is closed, and calls after that: each of them settles. */
import { afterEach, expect, test } from "vitest";
import { type Client, createClient, type RingshiftError } from "../../src/index.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { codeOf, until } from "../support/bench.ts";

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** A client of a server that breaks the connection on every command on a key with this prefix. */
async function clientOfABreakingServer(): Promise<{ server: ScriptedServer; cache: Client }> {
  const server = await ScriptedServer.listen((request) =>
    / lost/.test(request.line) ? [{ delayMs: 50 }, { reset: true }] : answerEmpty(request),
  );
  open.push(() => server.close());
  const cache = await createClient({ servers: [server.address] });
  open.push(() => cache.quit());
  return { server, cache };
}

const KEYS = ["lost:1", "lost:2"];

test.each<[string, (cache: Client) => Promise<unknown>]>([
  ["getMulti", (cache) => cache.getMulti(KEYS)],
  ["deleteMulti", (cache) => cache.deleteMulti(KEYS)],
  ["setMulti", (cache) => cache.setMulti(KEYS.map((key) => [key, 1]))],
])("%s whose connection breaks after quit() rejects, with each key in `failed`", async (command, call) => {
  const { server, cache } = await clientOfABreakingServer();
  const failure = call(cache).catch((error: unknown) => error);
  await until("it is sent", () => server.requests.some(({ line }) => line.includes("lost")));
  await cache.quit();
  const { code, failed } = (await failure) as RingshiftError;
  expect(code).toBe(command === "getMulti" ? "CLOSED" : "AMBIGUOUS_WRITE");
  expect([...failed!.keys()]).toStrictEqual(KEYS);
});

test("getMulti whose connection breaks after quit() fills a given `failed`", async () => {
  const { server, cache } = await clientOfABreakingServer();
  const failed = new Map<string, RingshiftError>();
  const found = cache.getMulti(KEYS, { failed });
  await until("it is sent", () => server.requests.some(({ line }) => line.includes("lost")));
  await cache.quit();
  expect((await found).size).toBe(0);
  expect(Array.from(failed, ([key, { code }]) => [key, code])).toStrictEqual(KEYS.map((key) => [key, "CLOSED"]));
  expect(await codeOf(cache.getMulti(KEYS))).toBe("CLOSED");
});
