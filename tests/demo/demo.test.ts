import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import type { DemoReport } from "../../src/demo/report.ts";

const DEMO = fileURLToPath(new URL("../../dist/demo/demo.js", import.meta.url));
/** On a crowded machine the changes take as long as their operations need. */
const PATIENCE_MS = 150_000;
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** Runs the demo in a process of its own, which tells on stderr the pid of every process that it starts. */
function demo(keys: number) {
  const program = `
    import { subscribe } from "node:diagnostics_channel";
    import { runDemo } from ${JSON.stringify(DEMO)};
    subscribe("child_process", ({ process: child }) => child.once("spawn", () => console.error("started " + child.pid)));
    process.exitCode = await runDemo({ keys: ${keys}, json: true });
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  return child;
}

function startedBy(stderr: string): number[] {
  return Array.from(stderr.matchAll(/^started (\d+)$/gm), (match) => Number(match[1]));
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test(
  "a cluster grows and shrinks under checked traffic, and nothing is lost",
  async () => {
    const keys = 3_000;
    const child = demo(keys);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, "close"),
    ]);
    expect(code, stderr).toBe(0);
    const report = JSON.parse(stdout) as DemoReport;
    expect(report).toEqual({
      keys,
      changes: [expect.anything(), expect.anything()],
      failedReads: 0,
      staleReads: 0,
      lostKeys: 0,
      wrongCounters: 0,
      failedWrites: 0,
      ambiguousWrites: expect.any(Number),
      evictions: 0,
      ttlDriftMaxSeconds: expect.any(Number),
      ttlDriftUnmovedMaxSeconds: expect.any(Number),
      operations: expect.any(Number),
      withoutMigration: {
        modulo: { lost: expect.any(Number), share: expect.any(Number) },
        ketama: { lost: expect.any(Number), share: expect.any(Number) },
      },
    });
    expect(report.ttlDriftMaxSeconds).toBeLessThan(60);
    expect(report.changes.map(({ change }) => change)).toEqual(["add-node memcached-4", "remove-node memcached-4"]);
    for (const change of report.changes) {
      expect(change.movedShare).toBeCloseTo(change.ringShare, 1);
      expect(change.idealShare).toBeCloseTo(0.25);
      expect(change.setsRead).toBeLessThan(change.setsTotal);
      expect(change.operations).toBeGreaterThanOrEqual(20_000);
      expect(change.readsOfMovingKeys).toBeGreaterThanOrEqual(1_000);
      expect(change.pulledByClients).toBeGreaterThanOrEqual(100);
      expect(change.keysPerSecond).toBeGreaterThan(0);
    }
    expect(report.operations).toBeGreaterThanOrEqual(report.changes[0]!.operations + report.changes[1]!.operations);
    const { modulo, ketama } = report.withoutMigration;
    expect(modulo.share).toBe(modulo.lost / keys);
    expect(modulo.share).toBeGreaterThan(0.6);
    expect(ketama.share).toBeCloseTo(report.changes[0]!.ringShare, 1);
    expect(startedBy(stderr).filter(runs)).toEqual([]);
  },
  PATIENCE_MS,
);

test(
  "Ctrl-C in the midst of a change ends it with 130, and everything that was started",
  async () => {
    const child = demo(2_000);
    let stderr = "";
    for await (const chunk of child.stderr!.iterator({ destroyOnReturn: false })) {
      stderr += String(chunk);
      if (/phase add-node/.test(stderr)) break;
    }
    const pids = startedBy(stderr);
    expect(pids.filter(runs)).toHaveLength(8); // four memcacheds, a Redis, three clients
    child.kill("SIGINT");
    const [[code], stdout] = await Promise.all([once(child, "exit"), text(child.stdout!)]);
    expect(code).toBe(130);
    expect(stdout).toBe("");
    while (pids.some(runs)) await sleep(10); // the test's own time limit ends this
  },
  PATIENCE_MS,
);
