/** `npm run soak` for a moment each: that it runs, says what it found, and ends what it started. How long it can keep it up is for a run by hand. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const PROGRAM = fileURLToPath(new URL("../../dist/soak/main.js", import.meta.url));

async function soak(...words: string[]) {
  const child = spawn(process.execPath, [PROGRAM, ...words]);
  const texts = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (text) => {
      texts[stream] += text;
    });
  }
  const [code] = await once(child, "close");
  return { code, ...texts };
}

test("stopped-client: a round of it", { timeout: 180_000 }, async () => {
  const { code, stdout, stderr } = await soak("stopped-client", "--rounds", "1", "--json");
  const figures = JSON.parse(stdout);
  expect(figures, stderr).toMatchObject({ kept: true, problems: [], staleReads: 0, lostWrites: 0, verifyClean: true });
  expect(figures.readsJudged).toBeGreaterThan(0);
  expect(figures.keysMoved).toBeGreaterThan(0);
  expect(code).toBe(0);
});

test("redis-down: some seconds of it", { timeout: 180_000 }, async () => {
  const { code, stdout, stderr } = await soak("redis-down", "--seconds", "3", "--json");
  const figures = JSON.parse(stdout);
  expect(figures, stderr).toMatchObject({ kept: true, problems: [], "frozen.failed": 0, "killed.failed": 0 });
  expect(figures["frozen.newKeysMeanwhile"]).toBeGreaterThan(0);
  expect(figures["killed.keysMoved"]).toBeGreaterThan(0);
  expect(code).toBe(0);
});

test("hot-key: wrong values and late reads are counted apart, and late ones break the promise", {
  timeout: 180_000,
}, async () => {
  const size = ["--rounds", "3", "--processes", "2", "--clients", "4"];
  const patient = await soak("hot-key", ...size, "--limit-ms", "60000", "--json");
  expect(JSON.parse(patient.stdout), patient.stderr).toMatchObject({
    kept: true,
    wrongReads: 0,
    lateReads: 0,
    reads: 48,
  });
  expect(patient.code).toBe(0);
  const impossible = await soak("hot-key", ...size, "--limit-ms", "1");
  expect(impossible.stdout).toMatch(/\[ERR\] \d+ reads took longer than 1 ms/);
  expect(impossible.code).toBe(1);
});

test("what it does not know is told, and exit code 2", async () => {
  expect(await soak()).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("usage: soak NAME") });
  expect(await soak("nothing")).toMatchObject({ code: 2 });
  const bad = await soak("redis-down", "--seconds", "none");
  expect(bad).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--seconds is a whole number above 0, not none"),
  });
  expect(await soak("redis-down", "--minutes", "1")).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("--minutes"),
  });
});
