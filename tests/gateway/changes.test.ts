/** What the event log has of a change that is carried on by the admin port. The coordinator is made up. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { Changes } from "../../src/gateway/changes.ts";
import { EventLog } from "../../src/gateway/event-log.ts";
import type { Admin } from "../../src/migration/admin.ts";
import type { ChangeReport, OnProgress } from "../../src/migration/progress.ts";

const report = { command: "add-node c:1", moved: 7, seconds: 1.25 } as ChangeReport;
const DONE = "add-node c:1: done, 7 keys moved in 1.3 s";

function open(admin: Partial<Admin>): { changes: Changes; log: EventLog } {
  const log = new EventLog();
  const underWay = async () => ({ command: "add-node c:1" });
  const topology = async () => ({ dead: admin.abandon === undefined ? [] : await dead });
  const changes = new Changes({
    admin: { underWay, topology, ...admin } as unknown as Admin,
    log,
    rate: () => undefined,
  });
  return { changes, log };
}

async function said(admin: Partial<Admin>, act: (changes: Changes) => Promise<unknown>): Promise<string[]> {
  const { changes, log } = open(admin);
  await act(changes).catch(() => {});
  await changes.close();
  return log.entries.map(({ text }) => text);
}
let dead: Promise<string[]> = Promise.resolve([]);

test("a change that is resumed here ends with done; one that another process goes on with does not end here", async () => {
  const resume = (changes: Changes) => changes.resume();
  expect(await said({ resume: async () => report }, resume)).toEqual([
    "add-node c:1: resumed",
    expect.stringContaining("done, 7 keys"),
  ]);
  expect(await said({ resume: async () => undefined }, resume)).toEqual(["add-node c:1: resumed"]);
});

test("an abort ends with what it came to", async () => {
  const abort = (changes: Changes) => changes.abort();
  expect(await said({ abort: async () => ({ outcome: "reversed", dropped: 0, change: report }) }, abort)).toEqual([
    "add-node c:1: aborted",
    "add-node c:1: taken back, the nodes are those of before",
  ]);
  expect((await said({ abort: async () => ({ outcome: "taken-back", dropped: 0 }) }, abort)).at(-1)).toMatch(
    /before anything/,
  );
});

test("a server is given up when it has been declared dead, not when that is refused", async () => {
  const abandon = (changes: Changes) => changes.abandon("b:1");
  const refusal = new RingshiftError("INVALID_OPTION", "b:1 answers");
  expect(await said({ abandon: () => Promise.reject(refusal) }, abandon)).toEqual([
    "add-node c:1: INVALID_OPTION: b:1 answers",
  ]);
  dead = Promise.resolve(["b:1"]);
  const ends = new Promise<ChangeReport>((resolve) => setTimeout(() => resolve(report), 200));
  expect(await said({ abandon: () => ends }, abandon)).toEqual(["add-node c:1: b:1 is given up", DONE]);
});

test.each(["resume", "abort", "abandon"] as const)(
  "%s: coordinated here from when it has the lease until it ends",
  async (what) => {
    let report: OnProgress | undefined;
    let end = () => {};
    const carriesOn = (...args: { onProgress?: OnProgress }[]) => {
      report = args.at(-1)!.onProgress;
      return new Promise((resolve) => {
        end = () => resolve(what === "abort" ? { outcome: "taken-back", dropped: 0 } : undefined);
      });
    };
    dead = Promise.resolve(["b:1"]);
    const { changes } = open({ [what]: carriesOn });
    await { resume: () => changes.resume(), abort: () => changes.abort(), abandon: () => changes.abandon("b:1") }[
      what
    ]();
    expect(changes.coordinated).toBeUndefined();
    report!({ step: "coordinating" });
    report!({ step: "copied", setsDone: 1, sets: 2, keysSeen: 9, moved: 7 });
    report!({ step: "verified", keys: 0 });
    expect(changes.coordinated).toMatchObject({ command: "add-node c:1", moved: 7 });
    expect(() => changes.run({ kind: "add-node", nodes: [] }, "config")).toThrow("add-node c:1");
    end();
    await changes.close();
    expect(changes.coordinated).toBeUndefined();
  },
);

test("a change that is tried again says what it has done, not that it begins, waits and fails", async () => {
  const change = { kind: "add-node", nodes: [{ address: "c:1" }] } as const;
  const refusal = new RingshiftError("MIGRATION_STOPPED", "half way");
  const apply: Admin["apply"] = async (_, options) => {
    options?.onProgress?.({ step: "waiting", reason: "the lease" });
    throw refusal;
  };
  const log = (again: boolean) => said({ apply }, (changes) => changes.run(change, "config", {}, again));
  expect(await log(false)).toHaveLength(3);
  expect(await log(true)).toEqual([]);
  const done = said({ apply: async () => report }, (changes) => changes.run(change, "config", {}, true));
  expect(await done).toEqual([DONE]);
});
