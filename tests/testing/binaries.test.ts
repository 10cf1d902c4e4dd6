import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ensureBinaries, findBinary, SERVER_BINARIES } from "../../src/testing/index.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ringshift-binaries-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("the first program on PATH wins, and one that cannot be run does not count", () => {
  const usual = findBinary("memcached");
  vi.stubEnv("PATH", `${folder}${delimiter}${process.env.PATH}`);
  const mine = join(folder, "memcached");
  writeFileSync(mine, "#!/bin/sh\n", { mode: 0o644 });
  expect(findBinary("memcached")).toBe(usual);
  chmodSync(mine, 0o755);
  expect(findBinary("memcached")).toBe(mine);
});

test("every server program is there for the tests, by its absolute path", async () => {
  const binaries = await ensureBinaries();
  expect(Object.keys(binaries).sort()).toEqual([...SERVER_BINARIES].sort());
  expect(Object.values(binaries).every((path) => isAbsolute(path))).toBe(true);
});
