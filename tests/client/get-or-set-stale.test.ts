/** Old values that loads in the background do not renew (staleTtl): when they end, who loads next, and what is counted. */
import { expect, test } from "vitest";
import { ttlLeft } from "../../src/client/get-or-set.ts";
import { until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });

test("what is left of a TTL is, on the average, what has not passed", () => {
  const chances = Array.from({ length: 1_000 }, (_, i) => i / 1_000);
  for (const passedMs of [0, 1, 100, 700, 999, 1_000, 1_500, 9_999]) {
    const left = chances.map((chance) => ttlLeft(60, passedMs, chance));
    const mean = left.reduce((sum, one) => sum + one, 0) / left.length;
    expect(mean).toBeCloseTo(60 - passedMs / 1_000, 2);
    expect(left.every(Number.isInteger)).toBe(true);
  }
  expect(ttlLeft(3, 2_999, 0)).toBe(1);
  expect(ttlLeft(3, 3_000, 0)).toBe(0);
});

test("an old value ends although loads fail slowly all the time", async () => {
  const cache = await bench.cluster(1).client();
  await cache.getOrSet("k", 1, () => "old", { staleTtl: 5 });
  const load = async () => {
    await new Promise((resolve) => setTimeout(resolve, 700));
    throw new Error("no database");
  };
  const read = () => cache.getOrSet("k", 1, load, { staleTtl: 5 }).catch(() => "gone");
  await until("it has ended", async () => (await read()) === "gone", 30_000); // some 6 s
});

test.each([
  ["throws", () => Promise.reject(new Error("no database"))],
  ["makes nothing", () => undefined],
])("a load in the background that %s leaves the old value to the next reader", async (_, load) => {
  const cluster = bench.cluster(1);
  const [cache, other] = [await cluster.client(), await cluster.client()];
  const options = { staleTtl: 1_000, earlyRefresh: 1_000 };
  await cache.getOrSet("k", 1, () => "old", { staleTtl: 1_000 });
  const item = async () => (await bench.item(cluster.servers[0]!, cluster.wire("k")))!;
  const before = await item();
  expect(await cache.getOrSet<string | undefined>("k", 1, load, options)).toBe("old");
  await until("it was stored once more", async () => (await item()).cas !== before.cas);
  expect(await other.getOrSet("k", 1, () => "new", options)).toBe("old");
  await until("the next reader has loaded it", async () => (await cache.get("k")) === "new");
  expect(cache.metrics()).toMatchObject({ loads: 2, loadsDiscarded: 0 });
});
