/** What getOrSet counts. */
import { expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { MemoryMemcached } from "../../src/testing/memory-script.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });

test("one miss a call, also where its first attempt comes to nothing", async () => {
  const memory = new MemoryMemcached();
  let resets = 0;
  const server = await ScriptedServer.listen((request) => {
    if (request.line.startsWith("add k ") && resets++ === 0) return [{ reset: true }];
    return memory.script(request);
  });
  const cache = await createClient({ servers: [server.address] });
  try {
    const missed: string[] = [];
    cache.on("miss", ({ key }) => missed.push(key));
    await new Promise((resolve) => setImmediate(resolve)); // listeners are looked for in the next turn
    expect(await cache.getOrSet("k", 10, () => "loaded")).toBe("loaded");
    expect(await cache.getOrSet("k", 10, () => "never")).toBe("loaded");
    expect(resets).toBe(2);
    expect(missed).toStrictEqual(["k"]);
    expect(cache.metrics()).toMatchObject({ misses: 1, hits: 1, loads: 1, loadsDiscarded: 0 });
  } finally {
    await cache.quit();
    await server.close();
  }
});

test("discarded is what was made and not stored", async () => {
  const cluster = bench.cluster(1);
  const [cache, other] = [await cluster.client(), await cluster.client()];
  expect(await cache.getOrSet("nothing", 10, () => undefined)).toBeUndefined();
  await cache.getOrSet("failing", 10, () => Promise.reject(new Error("no database"))).catch(() => {});
  expect(cache.metrics()).toMatchObject({ loads: 2, loadsDiscarded: 0 });
  const write = () => other.set("written", "new").then(() => "old");
  expect(await cache.getOrSet("written", 10, write)).toBe("old");
  expect(await codeOf(cache.getOrSet("symbol", 10, () => Symbol("x")))).toBe("INVALID_VALUE");
  expect(await codeOf(cache.getOrSet("large", 10, () => Buffer.alloc(2_000_000)))).toBe("VALUE_TOO_LARGE");
  expect(cache.metrics()).toMatchObject({ loads: 5, loadsDiscarded: 3 });
  for (const key of ["symbol", "large"]) expect(await other.getOrSet(key, 10, () => "free")).toBe("free");
});
