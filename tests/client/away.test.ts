/** `onNodeDown: "miss"`: what is answered as a miss is counted as one, and heard as one. */
import { expect, test } from "vitest";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });

test("reads of a server that is away count as misses, and what getOrSet loads as discarded", async () => {
  const cache = await bench.cluster(1).client({ onNodeDown: "miss", timeoutMs: 1_000 });
  await cache.set("a", 1);
  const missed: string[] = [];
  cache.on("miss", ({ key }) => missed.push(key));
  await new Promise((resolve) => setImmediate(resolve)); // listeners are looked for in the next turn
  await bench.local.memcached[0]!.kill();
  try {
    const before = cache.metrics();
    expect(await cache.get("a")).toBeUndefined();
    expect(await cache.gets("b")).toBeUndefined();
    expect((await cache.getMulti(["c", "d"])).size).toBe(0);
    expect(await cache.getMeta("meta")).toBeUndefined();
    expect(await cache.getOrSet("e", 10, () => "loaded")).toBe("loaded");
    expect(await cache.getOrSet("f", 10, () => undefined)).toBeUndefined();
    expect(await codeOf(cache.set("a", 2))).toBe("NODE_DOWN");
    const after = cache.metrics();
    expect(missed).toStrictEqual(["a", "b", "c", "d", "e", "f"]);
    expect(after.misses - before.misses).toBe(6);
    expect(after.hits).toBe(before.hits);
    expect(after.loads - before.loads).toBe(2);
    expect(after.loadsDiscarded - before.loadsDiscarded).toBe(1);
  } finally {
    await bench.local.memcached[0]!.restart();
  }
});
