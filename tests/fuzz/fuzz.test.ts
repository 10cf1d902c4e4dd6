/** A short run of the fuzzer (`npm run fuzz` runs longer ones): what it would print as found has to be nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { withFaults } from "../../src/fuzz/faults.ts";
import { roundTrips } from "../../src/fuzz/round-trips.ts";
import { LocalCluster } from "../../src/testing/local-cluster.ts";

/** Of a machine that is slow and busy. */
const PATIENCE_MS = 300_000;

let local: LocalCluster;
beforeAll(async () => {
  local = await LocalCluster.start({ memcached: 2, redis: false, memcachedOptions: { memoryMb: 256 } });
});
afterAll(() => local.stop());

test("20,000 random keys and values come back as they were, or are refused before I/O", {
  timeout: PATIENCE_MS,
}, async () => {
  const report = await roundTrips({ count: 20_000, seed: 20_261_121, servers: local.servers });
  expect(report.problems).toStrictEqual([]);
  expect(report.cases).toBe(20_000);
  // it has tried all of it, and the servers have counted it
  expect(Math.min(report.stored, report.refusedKeys, report.refusedValues, report.tooLarge)).toBeGreaterThan(0);
  expect(report.counted).toMatchObject(report.expected);
  expect(report.counted.cmd_set).toBe(report.stored);
});

test.each(["meta", "binary"] as const)(
  "replies cut, mixed with garbage or missing (%s): every call settles, and no answer is a wrong one",
  { timeout: PATIENCE_MS },
  async (protocol) => {
    const report = await withFaults({ rounds: 80, seed: 20_261_121, protocol });
    expect(report.problems).toStrictEqual([]);
    expect(report.calls).toBe(3_200);
    expect(Object.values(report.faults).every((count) => count > 0)).toBe(true);
    expect(report.rejected.AMBIGUOUS_WRITE).toBeGreaterThan(0);
  },
);
