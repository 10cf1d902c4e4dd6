/** Rules switched off: the checker notices. The finer ones need more runs than a test has time for; docs/model.md has a seed for each. */
import { describe, expect, it } from "vitest";
import { runBatch } from "../../src/model/batch.ts";
import { RULES, type Rule } from "../../src/model/without/rules.ts";

/** Rules whose absence shows soon, and a seed a little before one that shows it. */
const COARSE: readonly (readonly [Rule, number])[] = [
  ["nofence", 100_000],
  ["nofenceS", 100_000],
  ["nofenceD", 100_000],
  ["epochonly", 100_000],
  ["nopull", 100_000],
  ["nokill", 100_000],
  ["w-native", 100_000],
];
const RUNS = 600;

describe("the model without a rule", () => {
  it.each(COARSE)("finds a violation without %s", async (rule, seed) => {
    expect(RULES[rule]).toBeDefined();
    const totals = await runBatch({ seed, runs: RUNS, without: [rule], first: true });
    expect(totals.violations, rule).toBe(1);
    expect(totals.report.length).toBeGreaterThan(1);
  });

  it("has a text for every rule", () => {
    for (const [name, text] of Object.entries(RULES)) expect(text, name).toMatch(/^[A-Z][\w ,-]*: \S/);
  });
});
