import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FileWatch } from "../../src/config/watch.ts";

let folder: string;
let watching: FileWatch | undefined;
let calls: number;
let failing: boolean;
let failures: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ringshift-watch-"));
  calls = 0;
  failing = false;
  failures = [];
});
afterEach(async () => {
  await watching?.close();
  rmSync(folder, { recursive: true, force: true });
});

async function start(...files: string[]): Promise<void> {
  const changed = async () => {
    calls++;
    if (failing) throw new Error(`of call ${calls}`);
  };
  watching = await FileWatch.start(files, changed, (error) => failures.push(String(error)));
}
async function called(times: number): Promise<void> {
  while (calls < times) await sleep(10);
}

test("an edit, and an atomic replacement twice", async () => {
  const file = join(folder, "ringshift.yaml");
  writeFileSync(file, "a");
  await start(file);
  writeFileSync(file, "b");
  await called(1);
  for (const [i, text] of ["c", "d"].entries()) {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
    await called(i + 2);
  }
  expect(calls).toBe(3);
});

test("a folder behind a symbolic link is exchanged, as Kubernetes does", async () => {
  for (const [name, text] of [
    ["v1", "a"],
    ["v2", "b"],
  ] as const) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "ringshift.yaml"), text);
  }
  symlinkSync("v1", join(folder, "..data"));
  symlinkSync("..data/ringshift.yaml", join(folder, "ringshift.yaml"));
  await start(join(folder, "ringshift.yaml"));
  symlinkSync("v2", join(folder, "..tmp"));
  renameSync(join(folder, "..tmp"), join(folder, "..data"));
  await called(1);
  expect(calls).toBe(1);
});

test("a touch and a file beside it are no change; a deletion is one", async () => {
  const file = join(folder, "ringshift.yaml");
  writeFileSync(file, "a");
  await start(file);
  utimesSync(file, new Date(), new Date());
  writeFileSync(join(folder, "other"), "x");
  await sleep(300);
  expect(calls).toBe(0);
  rmSync(file);
  await called(1);
  expect(calls).toBe(1);
});

test("a call that fails is told, and the next change is seen", async () => {
  const file = join(folder, "ringshift.yaml");
  writeFileSync(file, "a");
  failing = true;
  await start(file);
  for (const [i, text] of ["b", "c"].entries()) {
    writeFileSync(file, text);
    await called(i + 1);
  }
  await watching?.close();
  expect(failures).toEqual(["Error: of call 1", "Error: of call 2"]);
});
