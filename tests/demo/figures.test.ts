import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { driftOf } from "../../src/demo/audit.ts";
import { ketama, modulo } from "../../src/demo/loss.ts";
import { type DemoReport, formatTable, isFlawless } from "../../src/demo/report.ts";
import { contentOf, flagsOf, keyOf, kindOf, LARGE_KEYS, sizeOf, ttlOf, versionOf } from "../../src/demo/values.ts";
import { Ring } from "../../src/ring/index.ts";

const INDEXES = Array.from({ length: 2_000 }, (_, index) => index);

describe("keys and values", () => {
  test("types, sizes and TTLs are mixed", () => {
    expect(new Set(INDEXES.map(kindOf))).toEqual(new Set(["text", "bytes", "json", "number"]));
    expect(new Set(INDEXES.map(flagsOf)).size).toBe(4);
    const sizes = INDEXES.map(sizeOf);
    expect(Math.min(...sizes)).toBeLessThan(10);
    expect(sizes.filter((size) => size > 1_000 && size < 10_000).length).toBeGreaterThan(100);
    expect(sizes.filter((size) => size > 10_000)).toHaveLength(LARGE_KEYS);
    const ttls = INDEXES.map((index) => ttlOf(index, 1));
    expect(ttls.filter((ttl) => ttl === 0).length).toBeGreaterThan(500);
    expect(ttls.filter((ttl) => ttl > 30 * 86_400).length).toBeGreaterThan(50);
    expect(Math.min(...ttls.filter((ttl) => ttl > 0))).toBeGreaterThanOrEqual(3_600);
  });

  test("a value names its version, and only under its own key", () => {
    for (const index of INDEXES) {
      for (const version of [1, 2, 57]) {
        const value = contentOf(index, version);
        expect(versionOf(index, value)).toBe(version);
        expect(versionOf(index + 1, value)).toBeUndefined();
      }
    }
    expect(new Set(INDEXES.map(keyOf)).size).toBe(INDEXES.length);
  });
});

test("modulo chooses as memjs does", () => {
  const { Utils } = createRequire(import.meta.url)("memjs") as { Utils: { hashCode(key: string): number } };
  const choose = modulo(3);
  for (const index of INDEXES) expect(choose(keyOf(index))).toBe(Utils.hashCode(keyOf(index)) % 3);
});

test("ketama chooses as the ring does", () => {
  const names = ["b", "a", "c"];
  const ring = new Ring(names.map((name) => ({ name })));
  const choose = ketama(names);
  for (const index of INDEXES) expect(names[choose(keyOf(index))]).toBe(ring.getServer(keyOf(index))[1]);
});

test("TTL drift is the distance to what is possible, given when it was written and read", () => {
  const written = { from: 1_000, to: 2_000 };
  const asked = { from: 10_000, to: 11_000 };
  expect(driftOf(100, written, 90, asked)).toBe(0);
  expect(driftOf(100, written, 92, asked)).toBe(0);
  expect(driftOf(100, written, 93, asked)).toBe(1);
  expect(driftOf(100, written, 88, asked)).toBe(2);
});

const REPORT: DemoReport = {
  keys: 20_000,
  changes: ["add-node d", "remove-node d"].map((change) => ({
    change,
    moved: 5_001,
    movedShare: 0.25005,
    ringShare: 0.249,
    idealShare: 0.25,
    setsRead: 120,
    setsTotal: 480,
    seconds: 5.04,
    keysPerSecond: 992,
    operations: 45_000,
    readsOfMovingKeys: 8_000,
    pulledByClients: 2_500,
  })),
  failedReads: 0,
  staleReads: 0,
  lostKeys: 0,
  wrongCounters: 0,
  ttlDriftMaxSeconds: 2.04,
  ttlDriftUnmovedMaxSeconds: 0.9,
  operations: 117_000,
  failedWrites: 0,
  ambiguousWrites: 0,
  evictions: 0,
  withoutMigration: { modulo: { lost: 15_000, share: 0.75 }, ketama: { lost: 4_980, share: 0.249 } },
};

test("only failed reads, stale values, lost keys and wrong counters are flaws", () => {
  expect(isFlawless(REPORT)).toBe(true);
  expect(isFlawless({ ...REPORT, ambiguousWrites: 1, failedWrites: 1 })).toBe(true);
  for (const flaw of ["failedReads", "staleReads", "lostKeys", "wrongCounters"]) {
    expect(isFlawless({ ...REPORT, [flaw]: 1 })).toBe(false);
  }
});

test("the table has a column a change, flush right", () => {
  const lines = formatTable(REPORT).split("\n");
  expect(lines[0]).toMatch(/^ +add-node d +remove-node d$/);
  const width = lines[0]!.length;
  const line = (label: string) => lines.find((text) => text.trimStart().startsWith(label))!;
  expect(line("moved")).toMatch(/^moved +5,001 +5,001$/);
  expect(line("share moved")).toMatch(/25\.0 % +25\.0 %$/);
  expect(line("sets read")).toMatch(/120 of 480 +120 of 480$/);
  expect(line("keys lost")).toMatch(/^keys lost +0$/);
  expect(line("lost without migration, modulo")).toMatch(/ 15,000 \(75\.0 %\)$/);
  for (const text of lines.filter((text) => text !== "")) expect(text).toHaveLength(width);
});
