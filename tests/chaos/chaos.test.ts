/** A short chaos run: the program as it is started by hand, over few processes and some twenty seconds of faults. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test } from "vitest";

const CHAOS = fileURLToPath(new URL("../../dist/chaos/main.js", import.meta.url));
/** Of faults are 24 s; the rest is starting, coming to rest, and what a crowded machine takes. */
const PATIENCE_MS = 240_000;
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

async function chaos(...args: string[]) {
  const child = spawn(process.execPath, [CHAOS, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  started.push(child);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { stdout, stderr, code: code as number };
}

test(
  "under a storm of faults nothing is lost, nothing comes back, nothing is stale",
  async () => {
    const { stdout, stderr, code } = await chaos(
      "--minutes",
      "0.4",
      "--seed",
      "7",
      "--clients",
      "3",
      "--every",
      "800",
      "--json",
    );
    expect(code, stderr).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      seed: 7,
      passed: true,
      lostWrites: 0,
      resurrections: 0,
      staleReads: 0,
      lostIncrements: 0,
      ttlsGrown: 0,
      undecidedKeys: 0,
      verify: { a: { full: true, clean: true }, b: { full: true, clean: true } },
    });
    expect(report.operations).toBeGreaterThan(0);
    expect(report.writes).toBeGreaterThan(0);
    expect(report.migrations).toBeGreaterThan(0);
    const faults = Object.values(report.faults as Record<string, number>);
    expect(faults.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(3);
  },
  PATIENCE_MS,
);

describe("wrong usage", () => {
  test.each([
    [["--without", "nosuch"], "no rule is named nosuch"],
    [["--minutes", "0"], "usage: chaos"],
    [["--seed", "x"], "usage: chaos"],
    [["--clients", "1"], "usage: chaos"],
  ])("%j is told", async (args, what) => {
    const { code, stderr } = await chaos(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(what);
  });
});
