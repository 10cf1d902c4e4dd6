/** A small part of `npm run model`: the product's own code under the deterministic scheduler, and the checker that judges it. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, runBatch } from "../../src/model/batch.ts";
import { type RunResult, runOnce } from "../../src/model/run.ts";
import { addRun, join, noRuns } from "../../src/model/totals.ts";

const PLAIN: Batch = { seed: 1_000, runs: 40, without: [], first: false };
const PARTS = [1_000, 1_040, 1_080, 1_120, 1_160];

describe("the model", () => {
  const all = noRuns();

  it.each(PARTS)("finds every history of 40 runs from seed %d on linearizable", async (seed) => {
    const totals = await runBatch({ ...PLAIN, seed });
    expect(totals.report).toEqual([]);
    expect(totals.seeds).toEqual([]);
    expect(totals.runs).toBe(PLAIN.runs);
    join(all, totals);
  });

  it("has met every fault and every profile in these", () => {
    expect(all.runs).toBe(PARTS.length * PLAIN.runs);
    expect(all.operations).toBeGreaterThan(3_000);
    expect(all.undecided).toBe(0);
    expect(all.counts.migrations).toBeGreaterThan(200);
    for (const fault of [
      "evict",
      "fence",
      "restart",
      "stall",
      "failover",
      "unreach",
      "crash",
      "pause",
      "cut",
      "dead",
    ]) {
      expect(all.counts[fault], fault).toBeGreaterThan(2);
    }
    for (const profile of ["mixed", "ambush", "hot", "stragglers", "cut-off"]) {
      expect(all.counts[`profile ${profile}`], profile).toBeGreaterThan(2);
    }
  });

  it("replays a seed exactly", async () => {
    for (const seed of [7, 253, 822]) {
      const runs: { lines: string[]; result: RunResult }[] = [];
      for (let i = 0; i < 2; i++) {
        const lines: string[] = [];
        runs.push({ lines, result: await runOnce({ seed, trace: (line) => lines.push(line) }) });
      }
      expect(runs[1]!.lines).toEqual(runs[0]!.lines);
      expect(runs[1]!.result).toEqual(runs[0]!.result);
      expect(runs[0]!.lines.length).toBeGreaterThan(100);
    }
  });

  describe("of runs that violate", () => {
    const CRIPPLED: Batch = { ...PLAIN, runs: 600, without: ["nofence"], first: true };
    let first = noRuns();

    beforeAll(async () => {
      first = await runBatch(CRIPPLED);
    });

    it("joins batches into what one thread would have found", async () => {
      const seed = first.seeds[0]! - 5;
      const some = { ...CRIPPLED, first: false };
      const joined = noRuns();
      for (const part of [seed, seed + 4, seed + 8]) join(joined, await runBatch({ ...some, seed: part, runs: 4 }));
      expect(joined).toEqual(await runBatch({ ...some, seed, runs: 12 }));
      expect(joined.violations).toBeGreaterThan(0);
      expect(joined.report).toEqual(first.report);
    });

    it("prints the history of a seed, and the same one when that seed is run alone", async () => {
      const alone = noRuns();
      addRun(alone, await runOnce({ seed: first.seeds[0]!, without: new Set(["nofence"] as const) }));
      expect(alone.report).toEqual(first.report);
      expect(alone.report[0]).toMatch(new RegExp(`^seed ${first.seeds[0]}: `));
      expect(alone.report.length).toBeGreaterThan(3);
    });
  });
});
