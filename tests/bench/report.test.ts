/** From rounds to the document, the tables, the plots and the targets. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Measure } from "../../src/bench/measure/stats.ts";
import { parseOptions } from "../../src/bench/options.ts";
import { allMet, checkTargets } from "../../src/bench/report/check.ts";
import { plotsOf, putSections, sectionsOf } from "../../src/bench/report/document.ts";
import { barChart, short } from "../../src/bench/report/plots.ts";
import { bestOf, mergeResults, type Results, summariseRounds } from "../../src/bench/report/results.ts";
import { checkTable, figure } from "../../src/bench/report/tables.ts";

const measure = (opsPerSecond: number, more: Record<string, number> = {}): Measure => ({
  opsPerSecond,
  cpuMicrosPerOp: 1e6 / opsPerSecond,
  p50Micros: 10,
  p99Micros: 20,
  ...more,
});

const document = (part: Pick<Results, "workloads" | "ratios">): Results => ({
  machine: { cpu: "a <b> & c", cores: 2 },
  versions: { ringshift: "0.0.0" },
  ...part,
});

const GET = summariseRounds("get-hit-64", [
  { ringshift: measure(500), "memjs+hashring": measure(100), memcache: measure(125), "floor-bytes": measure(1000) },
  { ringshift: measure(480), "memjs+hashring": measure(110), memcache: measure(120), "floor-bytes": measure(1000) },
  { ringshift: measure(200), "memjs+hashring": measure(50), memcache: measure(60), "floor-bytes": measure(400) },
]);

describe("results", () => {
  test("are medians by workload and client, and ratios by name", () => {
    expect(GET.workloads["get-hit-64"]!.ringshift!.opsPerSecond).toBe(480);
    expect(GET.ratios["get-hit-64 vs memjs+hashring"]).toStrictEqual({ median: 480 / 110, min: 4, max: 5 });
    expect(GET.ratios["get-hit-64 cpu vs floor-bytes"]!.median).toBe(2);
    expect(GET.ratios["get-hit-64 vs ringshift"]).toBeUndefined();
  });

  test("of a part take the place of the old ones of the same workloads alone", () => {
    const whole = document({
      workloads: { ...GET.workloads, "get-hit-1": { ringshift: measure(1), gone: measure(1) } },
      ratios: { ...GET.ratios, "get-hit-1 vs gone": { median: 1, min: 1, max: 1 } },
    });
    const part = document(summariseRounds("get-hit-1", [{ ringshift: measure(3), memjs: measure(1) }]));
    const merged = mergeResults(whole, part);
    expect(Object.keys(merged.workloads["get-hit-1"]!)).toStrictEqual(["ringshift", "memjs"]);
    expect(merged.ratios["get-hit-1 vs gone"]).toBeUndefined();
    expect(merged.ratios["get-hit-1 vs memjs"]!.median).toBe(3);
    expect(merged.ratios["get-hit-64 vs memcache"]).toStrictEqual(GET.ratios["get-hit-64 vs memcache"]);
  });

  test("the best peer is none whose answers were wrong", () => {
    const results = document(
      summariseRounds("x", [{ a: measure(9, { wrong: 1 }), b: measure(5), c: measure(7), d: measure(8) }]),
    );
    expect(bestOf(results, "x", ["a", "b", "c"], "opsPerSecond")).toBe("c");
    expect(bestOf(results, "x", ["a", "b", "c"], "cpuMicrosPerOp", true)).toBe("c");
    expect(bestOf(results, "x", ["z"], "opsPerSecond")).toBeUndefined();
  });
});

describe("targets", () => {
  test("say what was reached, and whether that is enough", () => {
    const checks = checkTargets(document(GET));
    const [memjs, fastest, bytes, calls] = checks.filter(({ group }) => group === "get");
    expect(memjs).toMatchObject({
      atLeast: 4,
      reached: 480 / 110,
      spread: [4, 5],
      byCpu: expect.closeTo(480 / 110),
      met: true,
    });
    expect(fastest).toMatchObject({ what: expect.stringContaining("the fastest peer (memcache)"), met: true });
    expect(bytes).toMatchObject({ atMost: 5, reached: 2, met: true });
    expect(calls).toMatchObject({ reached: undefined, met: undefined });
    expect(allMet(checks)).toBe(true); // what was not measured is not missed
  });

  test("are missed below the bound", () => {
    const slow = document(summariseRounds("get-hit-64", [{ ringshift: measure(399), "memjs+hashring": measure(100) }]));
    const checks = checkTargets(slow);
    expect(checks[0]).toMatchObject({ met: false });
    expect(allMet(checks)).toBe(false);
    expect(checkTable(checks)).toContain("| ≥ 4 × | 3.99 × | 3.99 to 3.99 | 3.99 | **no** |");
  });

  test("of work a moved key compare a small cluster with one of ten times as many keys", () => {
    const of = (serverCommandsPerOp: number) => ({
      ringshift: measure(1, { serverCommandsPerOp, redisCallsPerOp: 1 }),
    });
    const results = document({ workloads: { "migration-20k": of(5), "migration-200k": of(6) }, ratios: {} });
    const growth = checkTargets(results).filter(({ what }) => what.includes("migration-200k over migration-20k"));
    expect(growth.map(({ reached, met }) => [reached, met])).toStrictEqual([
      [1.2, false],
      [1, true],
    ]);
  });
});

describe("docs/performance.md", () => {
  const page = readFileSync(new URL("../../docs/performance.md", import.meta.url), "utf8");

  test("has a place for every table, and the program finds it again", () => {
    const sections = sectionsOf(document(GET));
    const once = putSections(page, sections);
    expect(once).toContain("| get-hit-64 | **ringshift** | 480 |");
    expect(putSections(once, sections)).toBe(once);
  });

  test("keeps its prose", () => {
    const text = "before\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nafter";
    expect(putSections(text, { a: "new" })).toBe("before\n<!-- bench:a -->\nnew\n<!-- /bench:a -->\nafter");
    expect(() => putSections(text, { b: "new" })).toThrow("<!-- bench:b -->");
  });

  test("shows every plot", () => {
    for (const name of Object.keys(plotsOf(document(GET)))) expect(page).toContain(`(../bench/${name})`);
  });
});

describe("a plot", () => {
  const svg = barChart({
    title: "a < b & c",
    unit: "ops",
    groups: [
      {
        label: "g",
        bars: [
          { name: "one", value: 50 },
          { name: "two", value: 100, low: 80, high: 120 },
        ],
      },
    ],
    mark: 60,
  });

  test("draws bars in proportion, the largest spread within the width", () => {
    const widths = [...svg.matchAll(/<rect[^>]* width="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(widths).toHaveLength(2);
    expect(widths[1]! / widths[0]!).toBeCloseTo(2, 2);
    const ends = [...svg.matchAll(/x2="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(Math.max(...ends)).toBeLessThan(760);
  });

  test("is well-formed: every element is closed, and no text breaks out of its own", () => {
    const open: string[] = [];
    for (const [, close, name, rest] of svg.replace(/<style>[\s\S]*?<\/style>/, "").matchAll(/<(\/?)(\w+)([^>]*)>/g)) {
      if (close) expect(open.pop()).toBe(name);
      else if (!rest!.endsWith("/")) open.push(name!);
    }
    expect(open).toStrictEqual([]);
    expect(svg).toContain("a &#60; b &#38; c");
  });

  test("of nothing at all is still a picture", () => {
    expect(barChart({ title: "t", unit: "u", groups: [] })).toContain("</svg>");
    expect(barChart({ title: "t", unit: "u", groups: [] })).not.toContain("NaN");
  });
});

test("figures have three digits or more, and an absent one is a dash", () => {
  expect([1.234, 12.34, 1234.5, null, undefined].map((value) => figure(value))).toStrictEqual([
    "1.23",
    "12.3",
    "1,235",
    "—",
    "—",
  ]);
  expect([1.234, 12_345, 1_234_567, 999_900].map(short)).toStrictEqual(["1.23", "12.3 k", "1.23 M", "1 M"]);
});

describe("options", () => {
  const names = ["get-hit-64", "set-new-64"];
  const of = (...args: string[]) => parseOptions(args, names);

  test("run everything and write the docs by default; a part or a quick run leaves them alone", () => {
    expect(of()).toMatchObject({ only: undefined, rounds: 3, insists: false, docs: true });
    expect(of("--only", "get-hit-64", "--rounds", "5")).toMatchObject({ rounds: 5, insists: true, docs: false });
    expect(of("--clients", "ringshift,memjs")).toMatchObject({ clients: ["ringshift", "memjs"], docs: false });
    expect(of("--quick")).toMatchObject({ rounds: 1, insists: true, docs: false });
    expect(of("--quick", "--docs")).toMatchObject({ docs: true });
  });

  test("that make no sense are refused with a word on what would", () => {
    expect(() => of("--only", "get-hit-65")).toThrow("--list");
    expect(() => of("--clients", "ringshift,redis")).toThrow("memcache-client");
    expect(() => of("--rounds", "0")).toThrow("--rounds");
    expect(() => of("--rounds", "1.5")).toThrow("whole number");
    expect(() => of("--seconds", "soon")).toThrow("--seconds");
    expect(() => of("--fast")).toThrow("--fast");
  });
});
