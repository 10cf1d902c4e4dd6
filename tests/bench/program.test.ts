/** The program itself, on real servers and with data too small for figures to mean anything: what is checked are shapes and answers. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Results } from "../../src/bench/report/results.ts";

const MAIN = fileURLToPath(new URL("../../dist/bench/main.js", import.meta.url));
const STEADY = ["get-hit-64", "get-multi-100", "fence-get-64"];
const OTHERS = ["mid-migration-get", "migration-200k", "index-100000", "ring-3"];

const folder = mkdtempSync(join(tmpdir(), "ringshift-bench-"));
const out = join(folder, "results.json");
let results: Results;
let stdout: string;

const bench = (...args: string[]) =>
  promisify(execFile)(process.execPath, [MAIN, "--out", out, ...args], { maxBuffer: 1 << 26 });

beforeAll(async () => {
  await bench("--quick", "--only", STEADY.join(","));
  ({ stdout } = await bench("--quick", "--json", "--only", OTHERS.join(",")));
  results = JSON.parse(readFileSync(out, "utf8"));
}, 480_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe("a run", () => {
  test("leaves a document of machine, versions, workloads and ratios, the parts of two runs merged", () => {
    expect(Object.keys(results)).toStrictEqual(["machine", "versions", "workloads", "ratios"]);
    expect(Object.keys(results.workloads)).toStrictEqual([...STEADY, ...OTHERS]);
    expect(JSON.parse(stdout)).toStrictEqual(results);
    expect(results.machine.placement).toMatch(/pinned|core/);
    for (const version of Object.values(results.versions)) expect(version).toMatch(/^v?\d+\.\d+/);
  });

  test("has every client's figures, and no wrong answer", () => {
    const clients = ["ringshift", "memjs+hashring", "memjs", "memcached", "memcache", "memcache-client+hashring"];
    expect(Object.keys(results.workloads["get-hit-64"]!).sort()).toStrictEqual(
      [...clients, "floor-bytes", "floor-calls"].sort(),
    );
    for (const [workload, measures] of Object.entries(results.workloads)) {
      for (const [client, measure] of Object.entries(measures)) {
        expect([workload, client, measure.wrong ?? 0]).toStrictEqual([workload, client, 0]);
        expect(measure.opsPerSecond).toBeGreaterThan(0);
        expect(measure.cpuMicrosPerOp).toBeGreaterThan(0);
        expect(measure.p50Micros ?? 0).toBeLessThanOrEqual(measure.p99Micros ?? 0);
      }
    }
  });

  test("has the ratio to each other client with its spread", () => {
    for (const name of ["get-hit-64 vs memjs", "get-hit-64 p99 vs memcache", "migration-200k vs raw-copy"]) {
      const { median, min, max } = results.ratios[name]!;
      expect(min).toBeLessThanOrEqual(median);
      expect(median).toBeLessThanOrEqual(max);
      expect(min).toBeGreaterThan(0);
    }
  });

  test("counts what goes over the wire: a hit is its key out and its value in, a fence on top", () => {
    const { ringshift, "floor-bytes": floor } = results.workloads["get-hit-64"]!;
    const request = "mg bench:key:00000000 v f\r\n".length;
    const reply = "VA 100 f0\r\n".length + 100 + 2;
    expect(floor).toMatchObject({ bytesOutPerOp: request });
    expect(floor!.bytesInPerOp).toBeGreaterThan(reply - 1);
    expect(ringshift!.bytesOutPerOp).toBeGreaterThan(request);
  });

  test("has a ringshift without fences that sends less, for the same answers", () => {
    const { ringshift, "ringshift-unfenced": unfenced } = results.workloads["fence-get-64"]!;
    expect(unfenced!.bytesOutPerOp!).toBeLessThan(ringshift!.bytesOutPerOp!);
    expect(unfenced!.bytesInPerOp!).toBeLessThan(ringshift!.bytesInPerOp!);
  });

  test("moves about a quarter of the keys, in all three ways", () => {
    const ways = results.workloads["migration-200k"]!;
    expect(Object.keys(ways).sort()).toStrictEqual(["memjs-loop", "raw-copy", "ringshift"]);
    for (const { moved } of Object.values(ways)) {
      expect(moved! / 10_000).toBeGreaterThan(0.1); // 160 random points share the ring out unevenly
      expect(moved! / 10_000).toBeLessThan(0.4);
    }
    expect(ways.ringshift!.serverCommandsPerOp!).toBeGreaterThan(3); // at least a get, a set and a delete each
  });

  test("weighs the index against its prototype", () => {
    const { ringshift, "prototype-listpacks": packed } = results.workloads["index-100000"]!;
    expect(packed!.redisBytesPerKey!).toBeGreaterThan("bench:key:00000000".length);
    expect(packed!.redisBytesPerKey!).toBeLessThan(ringshift!.redisBytesPerKey!);
  });
});

describe("the command line", () => {
  test("renders what there is without running anything, and --strict tells by its exit code", async () => {
    const { stdout: text } = await bench("--render", "--no-docs");
    expect(text).toContain("| get-hit-64 | **ringshift** |");
    expect(text).toContain("| get | get-hit-64: operations/s over memjs+hashring | ≥ 4 × |");
    const strict = await bench("--render", "--no-docs", "--strict").then(
      () => 0,
      (error: { code: number }) => error.code,
    );
    expect(strict).toBe(/\*\*no\*\*/.test(text) ? 1 : 0);
  });

  test("lists its workloads and refuses others", async () => {
    expect((await bench("--list")).stdout.split("\n")).toEqual(expect.arrayContaining([...STEADY, ...OTHERS]));
    await expect(bench("--only", "nothing")).rejects.toMatchObject({ code: 2, stderr: /No workload is named nothing/ });
  });
});
