import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { RateLimit } from "../../src/migration/rate-limit.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";

test("a wait leaves no listener with the signal", async () => {
  const { signal } = new AbortController();
  const limit = new RateLimit(systemClock, 10_000);
  for (let i = 0; i < 20; i++) await limit.take(10, signal);
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

test("an abort ends a wait", async () => {
  const controller = new AbortController();
  const asleep = { ...systemClock, sleep: () => new Promise<void>(() => {}) };
  const wait = new RateLimit(asleep, 10).take(100, controller.signal);
  controller.abort();
  await wait;
});

test("a wait that is longer than a timer takes is none that ends at once", async () => {
  const slept: number[] = [];
  const clock = { ...systemClock, sleep: async (ms: number) => void slept.push(ms) };
  await new RateLimit(clock, 0.0001).take(1_000);
  expect(slept).toEqual([2 ** 31 - 1]);
});
