/** flush and its like while Redis or a server is away. */
import { expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { codeOf, until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 2 });

test("flush of everything while Redis is away deletes nothing, and the cluster stays in service", async () => {
  const cache = await bench.cluster(2).client();
  await cache.setMulti({ a: 1, b: 2, c: 3 });
  await bench.local.redis.kill("SIGSTOP");
  try {
    expect(await codeOf(cache.flush({ everything: true }))).toBe("REDIS_UNREACHABLE");
    expect((await cache.getMulti(["a", "b", "c"])).size).toBe(3);
    expect(await cache.set("a", 2)).toBe(true);
  } finally {
    await bench.local.redis.kill("SIGCONT");
  }
  await until("Redis answers again", () => cache.flush({ everything: true }).then(Boolean, () => false));
  expect((await cache.getMulti(["a", "b", "c"])).size).toBe(0);
});

test.each([
  ["meta", 700],
  ["binary", 700],
  ["meta", 2_500],
] as const)(
  "%s: stats, version and flush keep a timeoutMs of %i with a server that is stopped",
  async (protocol, timeoutMs) => {
    const cache = await bench.cluster(2).client({ protocol, timeoutMs });
    const server = bench.local.memcached[1]!;
    await server.kill("SIGSTOP");
    try {
      const timed = async (call: Promise<unknown>) => {
        const startedAt = performance.now();
        const code = await codeOf(call);
        return { code, ms: performance.now() - startedAt };
      };
      const calls = [cache.stats(), cache.version(), cache.flush(), cache.flush({ everything: true })];
      for (const { code, ms } of await Promise.all(calls.map(timed))) {
        expect(code).toBe("TIMEOUT");
        expect(ms).toBeGreaterThan(timeoutMs - 50);
        expect(ms).toBeLessThan(timeoutMs + 2_000);
      }
    } finally {
      await server.kill("SIGCONT");
    }
  },
);

test("stats that come line by line are given up in time, too", async () => {
  const drip = Array.from({ length: 20 }, (_, i) => [{ send: `STAT line${i} 1\r\n` }, { delayMs: 100 }]).flat();
  const server = await ScriptedServer.listen(({ line }) => (line === "stats" ? drip : [{ send: "EN\r\n" }]));
  const cache = await createClient({ servers: [server.address], timeoutMs: 500 });
  try {
    expect(await codeOf(cache.stats())).toBe("TIMEOUT");
  } finally {
    await cache.quit();
    await server.close();
  }
});

test.each(["meta", "binary"] as const)("%s: stats of a kind that there is not is INVALID_OPTION", async (protocol) => {
  const cache = await bench.cluster(2).client({ protocol });
  for (const what of ["bogus", "no such", "Bogus!", 5 as never]) {
    expect(await codeOf(cache.stats(what))).toBe("INVALID_OPTION");
  }
  expect(Object.keys(await cache.stats("settings"))).toHaveLength(2);
});

test.each([{ queueLimit: 10 }, { queueLimit: 10, connections: 3 }])(
  "flush of more keys than the queue takes: %o",
  async (options) => {
    const cluster = bench.cluster(2);
    const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`);
    await (await cluster.client()).setMulti(keys.map((key) => [key, 1]));
    const cache = await cluster.client(options);
    expect(await cache.flush()).toBe(300);
  },
);
