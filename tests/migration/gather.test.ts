/** How a copier's keys become batches, and how evenly batches go under a rate. */
import { expect, test } from "vitest";
import { Gatherer } from "../../src/migration/gather.ts";
import { RateLimit } from "../../src/migration/rate-limit.ts";
import type { Clock } from "../../src/protocol/clock.ts";

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

test("keys of one pair share batches wherever they come from, and each is worked on once", async () => {
  const batches: (readonly number[])[] = [];
  const gatherer = new Gatherer<number>(
    (key) => key % 3,
    async (keys) => void batches.push(keys),
    () => 40,
  );
  for (let page = 0; page < 50; page++) await gatherer.add(numbers(7, page * 7));
  await gatherer.end();
  expect(batches.flat().sort((a, b) => a - b)).toStrictEqual(numbers(350));
  for (const batch of batches) expect(new Set(batch.map((key) => key % 3)).size).toBe(1);
  expect(Math.max(...batches.map((batch) => batch.length))).toBe(40);
  expect(batches[0]).toHaveLength(31);
  expect(batches.length).toBeLessThan(14);
});

test("a limit of one: one key at a time, ten at work", async () => {
  let [working, most] = [0, 0];
  const gatherer = new Gatherer<number>(
    () => 0,
    async (keys) => {
      expect(keys).toHaveLength(1);
      most = Math.max(most, ++working);
      await new Promise((resolve) => setImmediate(resolve));
      working--;
    },
    () => 1,
  );
  await gatherer.add(numbers(30));
  await gatherer.end();
  expect(most).toBe(10);
});

test("the first batch is alone, and what waits is divided by what it has shown", async () => {
  const batches: (readonly number[])[] = [];
  const working: number[] = [];
  let [limit, open] = [500, 0];
  const gatherer = new Gatherer<number>(
    () => 0,
    async (keys) => {
      batches.push(keys);
      working.push(++open);
      await new Promise((resolve) => setImmediate(resolve));
      open--;
      limit = 4; // the values are large
    },
    () => limit,
  );
  await gatherer.add(numbers(200));
  await gatherer.end();
  expect(batches.flat().sort((a, b) => a - b)).toStrictEqual(numbers(200));
  expect(batches[0]).toHaveLength(31);
  expect(Math.max(...batches.slice(1).map((batch) => batch.length))).toBe(4);
  expect(working.slice(0, 4)).toStrictEqual([1, 1, 2, 2]);
  expect(Math.max(...working)).toBe(10);
});

test("after a failure no batch begins, those at work end, and whoever adds is told", async () => {
  let begun = 0;
  let ended = 0;
  const gatherer = new Gatherer<number>(
    () => 0,
    async ([first]) => {
      begun++;
      await new Promise((resolve) => setImmediate(resolve));
      ended++;
      if (first === 0) throw new Error("the first batch");
    },
    () => 5,
  );
  await expect(gatherer.add(numbers(500))).rejects.toThrow("the first batch");
  await expect(gatherer.add([1])).rejects.toThrow("the first batch");
  await expect(gatherer.end()).rejects.toThrow("the first batch");
  await gatherer.idle();
  expect(ended).toBe(begun);
  expect(begun).toBeLessThan(20);
});

/** A clock whose sleeps take their time at once. */
function virtual(): Clock & { ms: number } {
  const clock = {
    ms: 0,
    now: () => clock.ms,
    epochSeconds: () => 0,
    sleep: async (ms: number) => {
      clock.ms += ms;
    },
    random: () => 0,
    randomId: () => "",
  };
  return clock;
}

test("a rate is kept evenly, and what a standstill has cost is not made up for at once", async () => {
  const clock = virtual();
  const rate = new RateLimit(clock, 10_000);
  for (let i = 0; i < 100; i++) await rate.take(100);
  expect(clock.ms).toBeCloseTo(1_000, 0);
  clock.ms += 5_000;
  const before = clock.ms;
  for (let i = 0; i < 100; i++) await rate.take(100);
  expect(clock.ms - before).toBeGreaterThan(970);
});
