/** Rules switched off: the checker notices. The others need more runs than a test has time for (docs/model.md). */
import { describe, expect, it } from "vitest";
import { runBatch } from "../../src/model/batch.ts";
import { RULES, SAFEGUARDS } from "../../src/model/without/rules.ts";

interface Coarse {
  readonly rule: keyof typeof RULES;
  /** A little before one that shows it. */
  readonly seed: number;
  /** Where one alone shows it soon. */
  readonly profile?: string;
}

/** Rules whose absence shows soon. */
const COARSE: readonly Coarse[] = [
  { rule: "nofence", seed: 100_000 },
  { rule: "nofenceS", seed: 100_000 },
  { rule: "nofenceD", seed: 100_000 },
  { rule: "epochonly", seed: 100_000 },
  { rule: "nopull", seed: 100_000 },
  { rule: "nokill", seed: 100_000 },
  { rule: "w-native", seed: 100_000 },
  { rule: "w-inF", seed: 0, profile: "amnesia" },
  { rule: "w-joining", seed: 100, profile: "oblivion" },
  { rule: "w-void", seed: 100, profile: "oblivion" },
  { rule: "nophdel", seed: 250, profile: "vanishing" },
  { rule: "w-deadnow", seed: 50, profile: "partition" },
];
const RUNS = 600;

describe("the model without a rule", () => {
  it.each(COARSE)("finds a violation without $rule", async ({ rule, seed, profile }) => {
    expect(RULES[rule]).toBeDefined();
    const totals = await runBatch({ seed, runs: RUNS, without: [rule], profile, first: true });
    expect(totals.violations, rule).toBe(1);
    expect(totals.report.length).toBeGreaterThan(1);
  });

  it("has a text for every rule", () => {
    for (const [name, text] of Object.entries({ ...RULES, ...SAFEGUARDS }))
      expect(text, name).toMatch(/^[A-Z][\w ,-]*: \S/);
  });
});
