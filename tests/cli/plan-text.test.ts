/** What a reader sees of a plan. */
import { expect, test } from "vitest";
import { planLines } from "../../src/cli/plan-text.ts";
import type { Plan } from "../../src/migration/plan.ts";

const PLAN: Plan = {
  nodes: [],
  moves: [
    { from: "one", to: "two", arcs: 3, keys: 70 },
    { from: "three", to: "two", arcs: 2, keys: 30 },
  ],
  keys: 100,
  relisted: 0,
  ringShare: 0.5,
  idealShare: 0.25,
  arcs: 5,
  setsRead: 5,
  setsTotal: 10,
};

test("keys of servers that are declared dead are lost, and only the others move", () => {
  expect(planLines(PLAN)).toContain("Keys to move  100");
  expect(planLines(PLAN).join("\n")).not.toContain("lost");
  const lines = planLines(PLAN, ["one"]);
  expect(lines).toContain("Keys to move  30");
  expect(lines).toContain("Keys lost     70 of one");
});
