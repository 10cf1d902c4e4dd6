/** A small part of `npm run model`: the product's own code under the deterministic scheduler, and the checker that judges it. */
import { describe, expect, it } from "vitest";
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

  it("joins batches into what one thread would have found", async () => {
    const whole = await runBatch({ ...PLAIN, seed: 100_070, runs: 12, without: ["nofence"] });
    const joined = noRuns();
    for (const seed of [100_070, 100_074, 100_078]) {
      join(joined, await runBatch({ ...PLAIN, seed, runs: 4, without: ["nofence"] }));
    }
    expect(joined).toEqual(whole);
    expect(whole.violations).toBeGreaterThan(0);
    expect(whole.report[0]).toMatch(new RegExp(`^seed ${whole.seeds[0]}: `));
  });

  it("prints the history of a seed that violates, and the same one when that seed is run alone", async () => {
    const { seeds, report } = await runBatch({ ...PLAIN, seed: 100_070, without: ["nofence"], first: true });
    const alone = noRuns();
    addRun(alone, await runOnce({ seed: seeds[0]!, without: new Set(["nofence"] as const) }));
    expect(alone.report).toEqual(report);
    expect(report.length).toBeGreaterThan(3);
  });
});
