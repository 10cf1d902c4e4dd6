/** Channels, events and counters; and that none of them carries a value. */
import { channel, tracingChannel } from "node:diagnostics_channel";
import { afterEach, beforeAll, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { openAdmin } from "../../src/migration/admin.ts";
import { stableCluster, type TestCluster } from "./support.ts";

const SECRET = "s3cret value";
const commands = tracingChannel("ringshift:command");
const batches = tracingChannel("ringshift:batch");

let cluster: TestCluster;
let cache: Client;
const seen: { name: string; message: Record<string, unknown> }[] = [];
const undo: (() => void)[] = [];

beforeAll(async () => {
  cluster = await stableCluster(2);
  cache = await cluster.client();
});

afterEach(() => {
  for (const one of undo.splice(0)) one();
  seen.length = 0;
});

function listenTo(kind: "command" | "batch"): void {
  const traced = kind === "command" ? commands : batches;
  const note = (name: string) => (message: unknown) => void seen.push({ name, message: { ...(message as object) } });
  const listeners = {
    start: note("start"),
    end: note("end"),
    asyncStart: note("asyncStart"),
    asyncEnd: note("asyncEnd"),
    error: note("error"),
  };
  traced.subscribe(listeners);
  undo.push(() => traced.unsubscribe(listeners));
}

test("a command is traced from its call to its answer", async () => {
  listenTo("command");
  await cache.set("k", SECRET);
  expect(seen.map(({ name }) => name)).toEqual(["start", "end", "asyncStart", "asyncEnd"]);
  expect(seen[0]!.message).toEqual({ command: "set", key: "k" });
});

test("a failure is traced, be it before or after anything was sent", async () => {
  listenTo("command");
  await expect(cache.get("")).rejects.toMatchObject({ code: "INVALID_KEY" });
  await cache.set("text", SECRET);
  await expect(cache.incr("text")).rejects.toMatchObject({ code: "NOT_NUMERIC" });
  const errors = seen.filter(({ name }) => name === "error").map(({ message }) => message);
  expect(errors).toMatchObject([
    { command: "get", key: "", error: { code: "INVALID_KEY" } },
    { command: "incr", key: "text", error: { code: "NOT_NUMERIC" } },
  ]);
});

test("a multi form is one batch", async () => {
  listenTo("batch");
  await cache.setMulti({ a: SECRET, b: SECRET });
  await cache.getMulti(["a", "b", "c"]);
  const starts = seen.filter(({ name }) => name === "start").map(({ message }) => message);
  expect(starts).toEqual([
    { command: "setMulti", keys: 2 },
    { command: "getMulti", keys: 3 },
  ]);
});

test("nothing that is published holds a value", async () => {
  listenTo("command");
  listenTo("batch");
  const loud: unknown[] = [];
  const note = (payload: unknown) => void loud.push(payload);
  cache.on("hit", note).on("miss", note);
  await cache.set("k", SECRET);
  await cache.append("k", SECRET);
  await cache.setMulti({ a: SECRET });
  await cache.getOrSet("loaded", 5, () => SECRET);
  await cache.get("k");
  expect(seen.length).toBeGreaterThan(15);
  expect(loud.length).toBeGreaterThan(1);
  expect(JSON.stringify([seen, loud])).not.toContain(SECRET);
  cache.off("hit", note).off("miss", note);
});

test("hits and misses, as events and as numbers", async () => {
  await cache.set("hit", 1);
  const before = cache.metrics();
  const told: string[] = [];
  cache.on("hit", ({ key }) => told.push(`hit ${key}`));
  cache.once("miss", ({ key }) => told.push(`miss ${key}`));
  await new Promise((resolve) => process.nextTick(resolve));
  await cache.get("hit");
  await cache.gets("hit");
  await cache.getMulti(["hit", "not-there"]);
  await cache.get("nor-there");
  expect(told.sort()).toEqual(["hit hit", "hit hit", "hit hit", "miss not-there"]); // two servers answer in any order
  const { hits, misses } = cache.metrics();
  expect([hits - before.hits, misses - before.misses]).toEqual([3, 2]);
  expect(cache.commandCounts()).toMatchObject({ gets: 1 });
});

test("a change of the cluster is told by events and channels", async () => {
  const told: unknown[] = [];
  const channels: unknown[] = [];
  for (const name of ["topology", "migration"]) {
    const listener = (message: unknown) => void channels.push([name, (message as { epoch: number }).epoch]);
    channel(`ringshift:${name}`).subscribe(listener);
    undo.push(() => channel(`ringshift:${name}`).unsubscribe(listener));
  }
  const ended = new Promise<void>((resolve) => {
    cache.on("migration", ({ state }) => {
      told.push(state);
      if (state === "ended") resolve();
    });
  });
  cache.on("topology", ({ phase, nodes }) => told.push(`${phase}${nodes.length}`));
  const admin = await openAdmin({ redis: cluster.local.redis.url });
  await admin.apply({ kind: "add-node", nodes: [{ address: (await cluster.local.addMemcached()).address }] });
  await ended;
  await admin.close();
  expect(told.slice(0, 5)).toEqual(["F3", "D3", "begun", "S3", "ended"]);
  expect(channels).toContainEqual(["migration", cache.topology().epoch - 1]);
});
