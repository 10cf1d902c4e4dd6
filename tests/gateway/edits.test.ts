/** Edits of the configuration, one by one, without a cluster: what becomes a change, what is refused, what is left alone. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DEFAULT_FILE, loadSettings } from "../../src/config/load.ts";
import { type ErrorCode, RingshiftError } from "../../src/errors.ts";
import { Configured } from "../../src/gateway/configured.ts";
import { EventLog } from "../../src/gateway/event-log.ts";
import { type Change, commandText } from "../../src/migration/change.ts";
import type { UnderWay } from "../../src/migration/under-way.ts";
import type { NodeRecord } from "../../src/topology/document.ts";

let folder: string;
let file: string;
/** The working directory that the tests were started in. */
const HERE = process.cwd();
/** As the command line names the file; undefined: the one that lies there. */
let named: string | undefined;
let present: NodeRecord[];
let applied: string[];
let log: EventLog;
let configured: Configured;
let settingsTaken: number;
/** The times in effect before and after. */
let took: string[];
/** What putting settings in effect fails with. */
let away: Error | undefined;
let refusal: RingshiftError | undefined;
/** The kind of change that it is of; undefined: any. */
let refused: Change["kind"] | undefined;
/** What reading the sources fails with. */
let unreadable: Error | undefined;
/** What another process does just before a change of this one. */
let ahead: (() => void) | undefined;
/** The change under way. */
let standing: Partial<UnderWay> | undefined;
/** What a change does before it fails for the first time. */
let begins: (() => void) | undefined;
/** What asking for the change under way fails with. */
let underWayFails: Error | undefined;
/** Of every try: the change, and whether it was another try of the same. */
let tries: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ringshift-edits-"));
  file = join(folder, "ringshift.yaml");
  named = file;
  present = ["a:1", "b:1"].map((address, index) => ({ index, name: address, address }));
  applied = [];
  settingsTaken = 0;
  took = [];
  away = undefined;
  refusal = undefined;
  refused = undefined;
  unreadable = undefined;
  ahead = undefined;
  standing = undefined;
  begins = undefined;
  underWayFails = undefined;
  tries = [];
});
afterEach(async () => {
  await configured.close();
  process.chdir(HERE);
  rmSync(folder, { recursive: true, force: true });
});

async function start(text: string): Promise<void> {
  writeFileSync(file, text);
  const reload = async () => {
    if (unreadable !== undefined) throw unreadable;
    return loadSettings({ file: named, env: {} });
  };
  log = new EventLog();
  configured = new Configured({
    loaded: await reload(),
    reload,
    log,
    present: async () => present,
    underWay: async () => {
      if (underWayFails !== undefined) throw underWayFails;
      return standing as UnderWay | undefined;
    },
    apply: async (change: Change, again) => {
      tries.push(`${commandText(change)}${again ? " again" : ""}`);
      if (refusal !== undefined && (refused ?? change.kind) === change.kind) {
        begins?.();
        begins = undefined;
        throw refusal;
      }
      ahead?.();
      if (ahead !== undefined) {
        ahead = undefined;
        throw new RingshiftError("NODE_EXISTS", "it is there");
      }
      applied.push(commandText(change));
      if (standing?.command === commandText(change)) standing = undefined;
      else if (change.kind === "add-node") {
        for (const { address } of change.nodes) present.push({ index: present.length, name: address, address });
      } else if (change.kind === "remove-node") {
        present = present.filter((node) => !change.names.includes(node.name));
      } else if (change.kind === "set-weight") {
        present = present.map((node) => (node.name === change.name ? { ...node, weight: change.weight } : node));
      } else if (change.kind === "set-vnodes") {
        present = present.map((node) => (node.name === change.name ? { ...node, vnodes: change.vnodes } : node));
      }
    },
    onSettings: async (next, before) => {
      if (away !== undefined) throw away;
      settingsTaken++;
      took.push(`${before.settings.timeouts.ioMs} ${next.settings.timeouts.ioMs}`);
    },
  });
}

/** The file has become this, and what follows from it is done, unless it has to wait for something. */
async function edit(text: string, done = true): Promise<void> {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
  await configured.changed();
  if (done) await configured.idle();
}
const said = () => log.entries.map(({ text }) => text).join("\n");

test("nodes come, change and go", async () => {
  await start("nodes: [a:1, b:1]");
  await edit("nodes: [{address: a:1, vnodes: 80}, c:1]");
  expect(applied).toEqual(["add-node c:1", "set-vnodes a:1 80", "remove-node b:1"]);
});

test("a file that is read while it is written: empty, or cut off", async () => {
  await start("nodes: [a:1, b:1]\nspares: [s:1]");
  present.push({ index: 2, name: "operator:1", address: "operator:1" });
  for (const text of ["", "\n\n", "# nothing\n", "nodes: [a:1,"]) await edit(text);
  expect([applied, settingsTaken]).toEqual([[], 0]);
  expect(said()).toContain("ringshift.yaml is empty");
  await edit("nodes: [a:1, b:1]\nspares: [s:1]");
  expect(applied).toEqual([]);
});

test("a file that is named from here and emptied changes nothing", async () => {
  named = relative(HERE, file);
  await start("nodes: [a:1, b:1]\nspares: [s:1]");
  await edit("");
  expect([applied, settingsTaken, said()]).toEqual([[], 0, expect.stringContaining("ringshift.yaml is empty")]);
});

test("the file that lies here goes and comes back: nothing is changed before, and what it says then is taken", async () => {
  process.chdir(folder);
  named = undefined;
  await start("nodes: [a:1, b:1]\ntimeouts: {ioMs: 700}");
  await configured.start();
  rmSync(DEFAULT_FILE);
  while (!said().includes("ringshift.yaml is gone")) await sleep(20);
  expect([applied, settingsTaken]).toEqual([[], 0]);
  writeFileSync(DEFAULT_FILE, "nodes: [");
  while (!said().includes("ringshift.yaml:1")) await sleep(20);
  writeFileSync(DEFAULT_FILE, "nodes: [a:1, b:1, c:1]\ntimeouts: {ioMs: 800}");
  while (applied.length === 0) await sleep(20);
  expect([applied, took]).toEqual([["add-node c:1"], ["700 800"]]);
});

test("a servers file that the configuration does not name for a moment is watched afterwards", async () => {
  const servers = join(folder, "servers");
  writeFileSync(servers, "a:1 1\nb:1 1\n");
  await start("serversFile: servers");
  await configured.start();
  await edit("# nothing\n");
  await edit("serversFile: servers");
  await sleep(1_000); // what the watch has seen of these edits is read
  writeFileSync(servers, "a:1 1\nb:1 1\nc:1 1\n");
  while (applied.length === 0) await sleep(20);
  expect(applied).toEqual(["add-node c:1,weight=1"]);
});

test("a file that cannot be read for a reason nobody foresaw: said, and the next edit is carried out", async () => {
  await start("nodes: [a:1, b:1]");
  unreadable = new TypeError("of the reader");
  await edit("nodes: [a:1]");
  expect(said()).toBe("Nothing was changed: TypeError: of the reader");
  unreadable = undefined;
  await edit("nodes: [a:1, b:1, c:1]");
  expect(applied).toEqual(["add-node c:1"]);
});

test("settings that cannot be put in effect are tried again, also after another edit; the nodes do not wait for them", async () => {
  await start("nodes: [a:1, b:1]");
  away = new RingshiftError("REDIS_UNREACHABLE", "Redis is away");
  await edit("nodes: [a:1, b:1, c:1]\ntimeouts: {ioMs: 700}");
  expect(applied).toEqual(["add-node c:1"]);
  await edit("nodes: [a:1, b:1, c:1]\ntimeouts: {ioMs: 700}\nlog: {level: debug}");
  expect(said().match(/REDIS_UNREACHABLE: Redis is away/g)).toHaveLength(2); // once an edit
  await sleep(1_500);
  expect(said().match(/REDIS_UNREACHABLE/g)).toHaveLength(2);
  away = undefined;
  while (took.length === 0) await sleep(20);
  expect(took).toEqual(["1000 700"]);
  await sleep(1_500);
  expect(took).toHaveLength(1);
});

test("nodes that the file does not name for a while: what an operator has added meanwhile is not the file's to remove", async () => {
  await start("nodes: [a:1, b:1]\nlog: {level: info}");
  await edit("log: {level: debug}");
  present.push({ index: 2, name: "operator:1", address: "operator:1" });
  await edit("nodes: [a:1, b:1, c:1]");
  expect(applied).toEqual(["add-node c:1"]);
});

test("a file that names nodes for the first time is compared with the cluster, spares left out", async () => {
  await start("spares: [s:1]");
  present.push({ index: 2, name: "s:1", address: "s:1" });
  await edit("spares: [s:1]\nnodes: [a:1]");
  expect(applied).toEqual(["remove-node b:1"]);
});

test("the same again is nothing, and a change of a port asks for a restart", async () => {
  await start("nodes: [a:1, b:1]");
  await edit("nodes: [a:1, b:1]");
  expect([settingsTaken, said()]).toEqual([0, ""]);
  await edit("nodes: [a:1, b:1]\ntls: {on: true}\ndata: {port: 1}");
  expect([applied, settingsTaken]).toEqual([[], 1]);
  expect(said()).toMatch(/data has changed: it takes effect when.*\n?.*/);
  expect(said()).toContain("tls has changed");
});

test("a change that is refused is said, and the next edit is carried out", async () => {
  await start("nodes: [a:1, b:1]");
  refusal = new RingshiftError("NODE_DOWN", "c:1 does not answer");
  await edit("nodes: [a:1, b:1, c:1]");
  expect(said()).toContain("NODE_DOWN: c:1 does not answer");
  refusal = undefined;
  await edit("nodes: [a:1, b:1, d:1]");
  expect(applied).toEqual(["add-node d:1"]);
});

test.each(["REDIS_UNREACHABLE", "MIGRATION_RUNNING"] as const)(
  "%s: an edit waits, says so once, and is not lost",
  async (code) => {
    await start("nodes: [a:1, b:1]");
    refusal = new RingshiftError(code, "not now");
    await edit("nodes: [a:1, b:1, c:1]", false);
    await sleep(2_500);
    expect(said().match(/not now/g)).toHaveLength(1);
    await edit("nodes: [a:1, b:1, c:1, d:1]", false);
    refusal = undefined;
    await configured.idle();
    expect(applied).toEqual(["add-node c:1 d:1"]);
  },
);

test("an edit that waits and is taken back in the file is not carried out", async () => {
  await start("nodes: [a:1, b:1]");
  refusal = new RingshiftError("REDIS_UNREACHABLE", "not now");
  await edit("nodes: [a:1]", false);
  await edit("nodes: [a:1, b:1]", false);
  refusal = undefined;
  await configured.idle();
  expect(applied).toEqual([]);
});

test("an edit that waits half way and is taken back: what was done is undone", async () => {
  await start("nodes: [a:1, b:1]");
  refused = "remove-node";
  refusal = new RingshiftError("REDIS_UNREACHABLE", "not now");
  await edit("nodes: [a:1, c:1]", false);
  while (applied.length === 0) await sleep(10);
  await edit("nodes: [a:1, b:1]", false);
  refusal = undefined;
  await configured.idle();
  expect(applied).toEqual(["add-node c:1", "remove-node c:1"]);
});

/** What `add-node c:1` begins with, and then fails with as long as this stands. */
function stopsWith(code: ErrorCode, aborting = false): void {
  refusal = new RingshiftError(code, "half way");
  refused = "add-node";
  begins = () => {
    standing = { command: "add-node c:1", state: "copying", aborting };
    present.push({ index: 2, name: "c:1", address: "c:1" });
  };
}
const triesOf = (command: string) => tries.filter((one) => one.startsWith(command)).length;

test.each(["MIGRATION_STOPPED", "WOULD_NOT_FIT", "NODE_DOWN"] as const)(
  "%s of a change that stands: it is carried on, said once, and the rest of the edit follows",
  async (code) => {
    await start("nodes: [a:1, b:1]");
    stopsWith(code);
    await edit("nodes: [c:1, b:1]", false);
    while (triesOf("add-node") < 2) await sleep(20);
    expect(said().match(/half way/g)).toHaveLength(1);
    refusal = undefined;
    await configured.idle();
    expect(new Set(tries.slice(1))).toEqual(new Set(["add-node c:1 again", "remove-node a:1"]));
    expect(applied).toEqual(["add-node c:1", "remove-node a:1"]);
  },
);

test("a change that stands half way is carried on before an edit that takes it back", async () => {
  await start("nodes: [a:1, b:1]");
  stopsWith("MIGRATION_STOPPED");
  await edit("nodes: [a:1, b:1, c:1]", false);
  while (triesOf("add-node") < 1) await sleep(20);
  await edit("nodes: [a:1, b:1]", false);
  refusal = undefined;
  await configured.idle();
  expect(applied).toEqual(["add-node c:1", "remove-node c:1"]);
});

test("a change that stops with Redis away is carried on when Redis is back", async () => {
  await start("nodes: [a:1, b:1]");
  stopsWith("REDIS_UNREACHABLE");
  const begin = begins!;
  begins = () => {
    begin();
    underWayFails = new RingshiftError("REDIS_UNREACHABLE", "not now");
  };
  await edit("nodes: [c:1, b:1]", false);
  while (!said().includes("half way")) await sleep(20);
  refusal = undefined;
  underWayFails = undefined;
  await configured.idle();
  expect(applied).toEqual(["add-node c:1", "remove-node a:1"]);
});

test("a change that is being aborted ends its edit", async () => {
  await start("nodes: [a:1, b:1]");
  stopsWith("MIGRATION_STOPPED", true);
  await edit("nodes: [c:1, b:1]");
  expect([tries, applied]).toEqual([["add-node c:1"], []]);
  expect(said()).toContain('"add-node c:1" is taken back');
});

test("while another's change stands nothing is tried, and that is said once", async () => {
  await start("nodes: [a:1, b:1]");
  standing = { command: "set-weight b:1 2", state: "copying" };
  await edit("nodes: [a:1, b:1, c:1]", false);
  await sleep(2_500);
  expect([tries, said().match(/set-weight/g)]).toEqual([[], ["set-weight"]]);
  standing = { ...standing, state: "cleaning" }; // nothing moves any more
  await configured.idle();
  expect(applied).toEqual(["add-node c:1"]);
});

test("another gateway with the same file has done it meanwhile", async () => {
  await start("nodes: [a:1, b:1]");
  ahead = () => present.push({ index: 2, name: "c:1", address: "c:1" });
  await edit("nodes: [a:1, c:1]");
  expect(applied).toEqual(["remove-node b:1"]);
  expect(said()).not.toContain("NODE_EXISTS");
});

test("the servers file is the configuration's too", async () => {
  writeFileSync(join(folder, "servers"), "a:1 1\nb:1 1\n");
  await start("serversFile: servers");
  writeFileSync(join(folder, "servers"), "a:1 2\nb:1 1\nc:1 1\n");
  await edit("serversFile: servers");
  expect(applied.sort()).toEqual(["add-node c:1,weight=1", "set-weight a:1 2"]);
});
