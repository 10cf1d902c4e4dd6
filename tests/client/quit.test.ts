/** Calls that are under way when the client is closed, and calls after that: each of them settles. */
import { afterEach, describe, expect, test } from "vitest";
import { type Client, createClient, type RingshiftError } from "../../src/index.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { codeOf, until, useBench } from "../support/bench.ts";

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

test.each<[string, (cache: Client) => Promise<unknown>]>([
  ["getMulti", (cache) => cache.getMulti([])],
  ["setMulti", (cache) => cache.setMulti({})],
  ["deleteMulti", (cache) => cache.deleteMulti([])],
])("%s of nothing rejects after quit() as of anything", async (_, call) => {
  const { cache } = await clientOfABreakingServer();
  await call(cache);
  await cache.quit();
  expect(await codeOf(call(cache))).toBe("CLOSED");
});

test("a set that waits for its server's item size limit is CLOSED, and asks no more", async () => {
  const server = await ScriptedServer.listen((request) =>
    request.line === "stats settings" ? [{ hang: true }] : answerEmpty(request),
  );
  open.push(() => server.close());
  const cache = await createClient({ servers: [server.address] });
  const stored = codeOf(cache.set("big", "x".repeat(5_000)));
  await until("it is asked", () => server.requests.some(({ line }) => line === "stats settings"));
  const { connections } = server;
  await cache.quit();
  expect(await stored).toBe("CLOSED");
  expect(server.connections).toBe(connections);
});

test("a second quit() waits for what the first one waits for", async () => {
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const server = await ScriptedServer.listen((request) =>
    request.line.includes("slow") ? [{ until: answered }, ...answerEmpty(request)] : answerEmpty(request),
  );
  open.push(() => server.close());
  const cache = await createClient({ servers: [server.address] });
  const found = cache.get("slow");
  await until("it is sent", () => server.requests.some(({ line }) => line.includes("slow")));
  const ends: string[] = [];
  const quits = ["first", "second"].map((name) => cache.quit().then(() => ends.push(name)));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(ends).toStrictEqual([]);
  answer();
  await Promise.all(quits);
  expect(await found).toBeUndefined();
});

const bench = useBench({ memcached: 2 });

test("the same in a cluster", async () => {
  const cache = await createClient(bench.cluster(1).where);
  open.push(() => cache.quit());
  await cache.set("small", 1);
  const [server] = bench.local.memcached;
  await server!.kill("SIGSTOP");
  try {
    const stored = codeOf(cache.set("big", "x".repeat(5_000)));
    await new Promise((resolve) => setTimeout(resolve, 50)); // also where it has not come to the question yet
    await cache.quit();
    expect(await stored).toBe("CLOSED");
  } finally {
    await server!.kill("SIGCONT");
  }
});

describe("flush", () => {
  const KINDS = {
    managed: () => bench.cluster(2).where,
    plain: () => ({ servers: bench.local.servers, unmanaged: true }),
  };

  test.each(Object.entries(KINDS))("after quit(), %s: CLOSED, and nothing is deleted", async (_, where) => {
    const options = where();
    const [cache, other] = [await createClient(options), bench.own(await createClient(options))];
    await other.setMulti({ a: 1, b: 2, c: 3 });
    await cache.quit();
    for (const everything of [false, true]) expect(await codeOf(cache.flush({ everything }))).toBe("CLOSED");
    expect((await other.getMulti(["a", "b", "c"])).size).toBe(3);
  });

  test.each([false, true])(
    "that quit() overtakes, everything %s: CLOSED, with nothing left unhandled",
    async (everything) => {
      const cache = await createClient(bench.cluster(2).where);
      await cache.setMulti(Array.from({ length: 5_000 }, (_, i) => [`key:${i}`, i]));
      const unhandled: unknown[] = [];
      const note = (reason: unknown) => unhandled.push(reason);
      process.on("unhandledRejection", note);
      const flushed = codeOf(cache.flush({ everything }));
      const quit = cache.quit();
      expect(await flushed).toBe("CLOSED");
      await quit;
      await new Promise((resolve) => setTimeout(resolve, 50));
      process.off("unhandledRejection", note);
      expect(unhandled).toStrictEqual([]);
    },
  );
});
