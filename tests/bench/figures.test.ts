/** The arithmetic of the benchmark: latencies, medians, ratios, and what is read from the kernel and the servers. */
import type { GCProfilerResult } from "node:v8";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { keyList, zipfIndexes } from "../../src/bench/jobs/workloads.ts";
import { cpuMicros } from "../../src/bench/measure/cpu.ts";
import { Histogram } from "../../src/bench/measure/histogram.ts";
import { summarise } from "../../src/bench/measure/meter.ts";
import { parseCoreList } from "../../src/bench/measure/pinning.ts";
import { kindOf, shareFigures, sharesIn, sharesOf } from "../../src/bench/measure/profile.ts";
import { parseCommandStats } from "../../src/bench/measure/server-stats.ts";
import { countSegments } from "../../src/bench/measure/sockets.ts";
import { type Measure, median, medianMeasure, ratioOf } from "../../src/bench/measure/stats.ts";

const measure = (opsPerSecond: number, more: object = {}): Measure => ({
  opsPerSecond,
  cpuMicrosPerOp: 1,
  p50Micros: 10,
  p99Micros: 20,
  ...more,
});

describe("a histogram", () => {
  test("answers the percentiles of what it was given, to 1.6 %", () => {
    const micros = fc.array(fc.double({ min: 1, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(micros, fc.constantFrom(0.5, 0.9, 0.99, 0.999, 1), (list, share) => {
        const histogram = new Histogram();
        for (const value of list) histogram.add(value);
        const exact = [...list].sort((a, b) => a - b)[Math.ceil(share * list.length) - 1]!;
        expect(Math.abs(histogram.percentile(share) - exact)).toBeLessThanOrEqual(exact * 0.016 + 1 / 16);
      }),
    );
  });

  test("counts several at once, and another's", () => {
    const [one, other] = [new Histogram(), new Histogram()];
    one.add(10, 99);
    other.add(5000);
    one.addAll(other);
    expect(one.total).toBe(100);
    expect(one.percentile(0.99)).toBeCloseTo(10, 0);
    expect(one.percentile(1)).toBeGreaterThan(4900);
  });

  test("bears what lies outside, and answers 0 when it is empty", () => {
    const histogram = new Histogram();
    expect(histogram.percentile(0.5)).toBe(0);
    histogram.add(-1);
    expect(histogram.percentile(1)).toBe(0);
    histogram.add(1e12);
    expect(histogram.percentile(1)).toBeGreaterThan(1e8);
  });
});

describe("medians and ratios", () => {
  test("the median is the middle, or the mean of the two in the middle", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBe(0);
  });

  test("are taken field by field, over the rounds that have the field", () => {
    const rounds = [measure(1, { moved: 5 }), measure(3, { moved: null }), measure(2, { moved: 7 })];
    expect(medianMeasure(rounds)).toMatchObject({ opsPerSecond: 2, moved: 6, p99Micros: 20 });
    expect(medianMeasure([measure(1, { p50Micros: null })]).p50Micros).toBeNull();
  });

  test("a ratio compares what ran in the same round", () => {
    const rounds = [
      { a: measure(100), b: measure(50) },
      { a: measure(10), b: measure(10) }, // the machine was busy for both
      { a: measure(90), b: measure(30) },
      { a: measure(1000) }, // the other one's turn failed
    ];
    expect(ratioOf(rounds, "a", "b", "opsPerSecond")).toStrictEqual({ median: 2, min: 1, max: 3 });
    expect(ratioOf(rounds, "a", "c", "opsPerSecond")).toBeUndefined();
  });
});

describe("what is read from outside", () => {
  test("packets of our own connections to the servers, from ss", () => {
    const text = [
      "0 0 127.0.0.1:50001 127.0.0.1:11211",
      "\t bbr rtt:0.1 segs_out:10 segs_in:7 data_segs_out:9",
      "0 0 127.0.0.1:50002 127.0.0.1:11211",
      "\t bbr segs_out:1000 segs_in:1000",
      "0 0 [::ffff:127.0.0.1]:50001 [::ffff:127.0.0.1]:6379",
      "\t bbr segs_out:500 segs_in:500",
      "",
    ].join("\n");
    expect(countSegments(text, new Set([11211]), new Set([50001]))).toBe(17);
    expect(countSegments(text, new Set([6379, 11211]), new Set([50001]))).toBe(1017);
  });

  test("calls of Redis' clients, without what its scripts ran", () => {
    const text = [
      "cmdstat_evalsha:calls=10,usec=5",
      "cmdstat_sscan:calls=3,usec=1",
      "cmdstat_sadd:calls=400,usec=2",
      "cmdstat_client|setinfo:calls=2,usec=2",
      "cmdstat_info:calls=9,usec=2",
    ].join("\r\n");
    expect(parseCommandStats(text)).toStrictEqual({ calls: 13, commands: 413 });
  });

  test("lists of cores", () => {
    expect(parseCoreList("0-2,5")).toStrictEqual([0, 1, 2, 5]);
    expect(parseCoreList("3")).toStrictEqual([3]);
    expect(parseCoreList("")).toStrictEqual([]);
  });

  test("what was allocated: the growth between collections", () => {
    const collection = (before: number, after: number, cost: number) => ({
      gcType: "Scavenge",
      cost,
      beforeGC: { heapStatistics: { usedHeapSize: before } },
      afterGC: { heapStatistics: { usedHeapSize: after } },
    });
    const profile = { statistics: [collection(150, 100, 7), collection(400, 120, 3)] } as unknown as GCProfilerResult;
    expect(summarise(profile, 100, 130)).toStrictEqual({ allocatedBytes: 50 + 300 + 10, micros: 10 });
  });

  test.runIf(process.platform === "linux")("CPU time of a process grows with its work, and a dead one has none", () => {
    const before = cpuMicros(process.pid)!;
    const until = process.cpuUsage().user + 50_000;
    while (process.cpuUsage().user < until);
    expect(cpuMicros(process.pid)! - before).toBeGreaterThan(20_000);
    expect(cpuMicros(2 ** 30)).toBeUndefined();
  });
});

describe("a profile", () => {
  const frame = (id: number, functionName: string, url = "") => ({
    id,
    callFrame: { functionName, url, scriptId: "", lineNumber: 0, columnNumber: 0 },
  });

  test("is shared out by what the code is for, idle time aside", () => {
    const nodes = [
      frame(1, "(idle)"),
      frame(2, "writeLatin1String"),
      frame(3, "push", "file:///x/dist/memcached/parser.js"),
      frame(4, "something", "node:internal/unheard-of"),
    ];
    const shares = sharesOf({
      nodes,
      startTime: 0,
      endTime: 9,
      samples: [1, 2, 3, 2, 4],
      timeDeltas: [900, 30, 20, 40, 10],
    });
    expect([...shares]).toStrictEqual([
      ["writing to sockets", 0.7],
      ["flushes, connection, parser", 0.2],
      ["the rest", 0.1],
    ]);
    expect(sharesIn({ ...shareFigures(shares), opsPerSecond: 3 })).toStrictEqual(shares);
  });

  test("knows its own folders and Node's", () => {
    expect(kindOf("(garbage collector)", "")).toBe("garbage collection");
    expect(kindOf("keyHash", "file:///a/dist/ring/hash.js")).toBe("key hash");
    expect(kindOf("locate", "file:///a/dist/ring/ring.js")).toBe("ring and routing");
    expect(kindOf("onStreamRead", "node:internal/stream_base_commons")).toBe("Node's sockets and streams");
    expect(kindOf("sendCommand", "file:///a/node_modules/ioredis/built/Redis.js")).toBe("recording keys (index)");
    expect(kindOf("lane", "file:///a/dist/bench/jobs/load.js")).toBe("the benchmark's own lanes");
  });
});

describe("keys", () => {
  test("are of one length, as the ready bytes need", () => {
    expect(new Set(keyList(1000).map((key) => key.length)).size).toBe(1);
  });

  test("by Zipf's law the most popular one comes far more often than its share, and every draw is a key", () => {
    const draws = zipfIndexes(1000, 20_000);
    const counts = new Map<number, number>();
    for (const index of draws) counts.set(index, (counts.get(index) ?? 0) + 1);
    const sorted = [...counts.values()].sort((a, b) => b - a);
    expect(Math.max(...draws)).toBeLessThan(1000);
    expect(sorted[0]! / draws.length).toBeGreaterThan(0.1); // 1 / (ln 1000 + 0.58)
    expect(sorted[0]! / sorted[9]!).toBeGreaterThan(5);
    expect(zipfIndexes(1000, 20_000)).toStrictEqual(draws);
  });
});
