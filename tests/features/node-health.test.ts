/** Servers that go and come back: nobody hangs, nobody reads what was overwritten meanwhile. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Client } from "../../src/client/client.ts";
import type { RingshiftError } from "../../src/errors.ts";
import type { MemcachedServer } from "../../src/testing/local-cluster.ts";
import { stableCluster, type TestCluster } from "./support.ts";

let cluster: TestCluster;
let cache: Client;
let victim: MemcachedServer;
/** Keys of the server that goes, and of one that stays. */
let there: string[];
let elsewhere: string[];

beforeEach(async () => {
  cluster = await stableCluster(3);
  cache = await cluster.client({ onRejoin: "repair", ioTimeoutMs: 200, connectTimeoutMs: 200 });
  victim = cluster.local.memcached[0]!;
  const keys = Array.from({ length: 100 }, (_, i) => `key:${i}`);
  await cache.setMulti(keys.map((key) => [key, "old"] as const));
  there = keys.filter((key) => cache.locate(key).address === victim.address);
  elsewhere = keys.filter((key) => cache.locate(key).address !== victim.address);
  expect(there.length).toBeGreaterThan(3);
});

afterEach(() => cluster.local.stop());

/** Calls until the server counts as down. */
async function untilDown(client: Client): Promise<void> {
  while (client.nodeStates()[victim.address]?.state !== "down") await client.get(there[0]!).catch(() => {});
}

test("a dead server: its keys fail at once, the others answer, and it comes back by itself", async () => {
  const events: string[] = [];
  cache.on("nodeDown", ({ node, error }) => events.push(`down ${node} ${error?.code}`));
  cache.on("nodeUp", ({ node }) => events.push(`up ${node}`));
  await victim.kill();
  await untilDown(cache);
  expect(events).toEqual([`down ${victim.address} NODE_DOWN`]);
  const [key] = there;
  const wanted = { code: "NODE_DOWN", node: victim.address, key };
  await expect(cache.get(key!)).rejects.toMatchObject(wanted);
  await expect(cache.set(key!, "new")).rejects.toMatchObject(wanted);
  await expect(cache.delete(key!)).rejects.toMatchObject(wanted);
  expect(await cache.get(elsewhere[0]!)).toBe("old");
  await victim.restart();
  await expect.poll(() => cache.nodeStates()[victim.address]!.state, { timeout: 10_000 }).toBe("up");
  expect(events).toEqual([`down ${victim.address} NODE_DOWN`, `up ${victim.address}`]);
  expect(await cache.set(key!, "new")).toBe(true);
  expect(await cache.get(key!)).toBe("new");
});

test("a multi form says which keys failed where", async () => {
  await victim.kill();
  await untilDown(cache);
  const keys = [...there, ...elsewhere];
  const failed = new Map<string, RingshiftError>();
  const found = await cache.getMulti(keys, { failed });
  expect([...found.keys()].sort()).toEqual(elsewhere.toSorted());
  expect([...failed.keys()].sort()).toEqual(there.toSorted());
  for (const error of failed.values()) expect(error).toMatchObject({ code: "NODE_DOWN", node: victim.address });
  const error = await cache.getMulti(keys).catch((reason: RingshiftError) => reason);
  expect(error).toMatchObject({ code: "NODE_DOWN", node: victim.address });
  expect([...(error as RingshiftError).failed!.keys()].sort()).toEqual(there.toSorted());
  const writes = await cache.setMulti(keys.map((key) => [key, 1] as const)).catch((reason: RingshiftError) => reason);
  expect([...(writes as RingshiftError).failed!.keys()].sort()).toEqual(there.toSorted());
  expect(await cache.get(elsewhere[0]!)).toBe(1);
});

test("onNodeDown miss: reads count as misses, writes reject", async () => {
  const lenient = await cluster.client({ ioTimeoutMs: 200, connectTimeoutMs: 200, onNodeDown: "miss" });
  await victim.kill();
  await untilDown(lenient);
  const [key] = there;
  expect(await lenient.get(key!)).toBeUndefined();
  expect(await lenient.gets(key!)).toBeUndefined();
  expect((await lenient.getMulti([key!, elsewhere[0]!])).size).toBe(1);
  expect(await lenient.getOrSet(key!, 10, () => "loaded")).toBe("loaded");
  const failed = new Map<string, RingshiftError>();
  await lenient.getMulti([key!], { failed });
  expect(failed.get(key!)?.code).toBe("NODE_DOWN");
  await expect(lenient.set(key!, 1)).rejects.toMatchObject({ code: "NODE_DOWN" });
});

describe("a server that was out of reach", () => {
  test("is repaired: what was written meanwhile is gone, what was not is still there", async () => {
    const idle = await cluster.client({ ioTimeoutMs: 200, onRejoin: "repair" }); // connected, and asks nothing meanwhile
    await idle.getMulti(there);
    await victim.kill("SIGSTOP");
    await untilDown(cache);
    const [overwritten, deleted, counted, untouched] = there as [string, string, string, string];
    await expect(cache.set(overwritten, "new")).rejects.toMatchObject({ code: "NODE_DOWN" });
    await expect(cache.delete(deleted)).rejects.toMatchObject({ code: "NODE_DOWN" });
    await expect(cache.append(counted, "x")).rejects.toMatchObject({ code: "NODE_DOWN" });
    await expect.poll(() => idle.nodeStates()[victim.address]!.state, { timeout: 10_000 }).toBe("down");
    await victim.kill("SIGCONT");
    for (const client of [cache, idle]) {
      await expect.poll(() => client.nodeStates()[victim.address]!.state, { timeout: 10_000 }).toBe("up");
      expect(await client.getMulti([overwritten, deleted, counted, untouched])).toEqual(new Map([[untouched, "old"]]));
    }
    const late = await cluster.client({ onRejoin: "repair" });
    expect(await late.getMulti([overwritten, deleted, counted])).toEqual(new Map());
    expect(await cache.set(overwritten, "newest")).toBe(true);
    expect(await late.get(overwritten)).toBe("newest");
  });

  test("a client that starts before the repair does it itself", async () => {
    await victim.kill("SIGSTOP");
    await untilDown(cache);
    await expect(cache.set(there[0]!, "new")).rejects.toMatchObject({ code: "NODE_DOWN" });
    await cache.quit(); // nobody is left who knows
    await victim.kill("SIGCONT");
    const late = await cluster.client({ onRejoin: "repair" });
    expect(await late.getMulti(there.slice(0, 2))).toEqual(new Map([[there[1]!, "old"]]));
  });

  test("is flushed where asked: of this cluster's keys", async () => {
    const neighbour = await cluster.client({ namespace: "neighbour" });
    const flushing = await cluster.client({
      ioTimeoutMs: 200,
      connectTimeoutMs: 200,
      onRejoin: "flush",
      namespace: "mine",
    });
    const keys = Array.from({ length: 60 }, (_, i) => `k${i}`);
    await Promise.all([flushing, neighbour].map((one) => one.setMulti(keys.map((key) => [key, 1] as const))));
    const lost = keys.filter((key) => flushing.locate(key).address === victim.address);
    await victim.kill("SIGSTOP");
    while (flushing.nodeStates()[victim.address]!.state !== "down") await flushing.get(lost[0]!).catch(() => {});
    await victim.kill("SIGCONT");
    await expect.poll(() => flushing.nodeStates()[victim.address]!.state, { timeout: 10_000 }).toBe("up");
    expect((await flushing.getMulti(keys)).size).toBe(keys.length - lost.length);
    expect((await neighbour.getMulti(keys)).size).toBe(keys.length);
  });
});

test("every call settles within its timeout while a server and Redis stand still", async () => {
  const hasty = await cluster.client({ timeoutMs: 300 });
  await hasty.get(there[0]!);
  await Promise.all([victim.kill("SIGSTOP"), cluster.local.redis.kill("SIGSTOP")]);
  const [key] = there;
  const big = "x".repeat(5_000);
  const calls = [
    hasty.get(key!),
    hasty.gets(key!),
    hasty.set(key!, "x"),
    hasty.set(`new:${key}`, big),
    hasty.delete(key!),
    hasty.append(key!, "x"),
    hasty.incr(key!, 1, { initial: 1 }),
    hasty.touch(key!, 1),
    hasty.getMulti([...there, ...elsewhere]),
    hasty.getOrSet(key!, 1, () => 1),
  ];
  const outcomes = await Promise.allSettled(calls); // the test's own timeout bounds it
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") {
      expect(outcome.reason.code).toMatch(/^(TIMEOUT|NODE_DOWN|AMBIGUOUS_WRITE|REDIS_UNREACHABLE)$/);
    }
  }
  expect(outcomes.filter((outcome) => outcome.status === "rejected").length).toBeGreaterThan(5);
  await Promise.all([victim.kill("SIGCONT"), cluster.local.redis.kill("SIGCONT")]);
});

describe("AbortSignal", () => {
  test("ends a call that waits, and one that has not begun", async () => {
    await victim.kill("SIGSTOP");
    const abort = new AbortController();
    const reason = new Error("enough");
    const { signal } = abort;
    const calls = [
      cache.get(there[0]!, { signal }),
      cache.set(there[1]!, 1, { signal }),
      cache.getMulti(there, { signal }),
    ];
    abort.abort(reason);
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "ABORTED", cause: reason });
    await expect(cache.get(elsewhere[0]!, { signal })).rejects.toMatchObject({ code: "ABORTED" });
    expect(await cache.get(elsewhere[0]!, { signal: new AbortController().signal })).toBe("old");
    await victim.kill("SIGCONT");
  });
});

test("QUEUE_FULL: what does not fit is refused unsent", async () => {
  const narrow = await cluster.client({ queueLimit: 10 });
  const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => narrow.get(there[0]!)));
  const codes = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
  expect(new Set(codes)).toEqual(new Set(["QUEUE_FULL"]));
  expect(await narrow.get(there[0]!)).toBe("old");
});
