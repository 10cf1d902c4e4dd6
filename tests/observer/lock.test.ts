/** Of several observers one acts: the lock taken, kept, lost, taken over, and Redis away. Real Redis, load and changes made up. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import type { Change } from "../../src/migration/change.ts";
import type { NodeHealth } from "../../src/observer/node-watch.ts";
import { Observer, type ObserverSettings } from "../../src/observer/observer.ts";
import { type RedisServer, startRedis } from "../../src/testing/index.ts";
import type { NodeRecord, TopologyDocument } from "../../src/topology/document.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";

const LOCK = "ringshift:default:observer";
const FULL = { bytes: 95, limitBytes: 100, evictions: 0 };
const settings: ObserverSettings = {
  policy: "scale",
  intervalMs: 1_000,
  evictionsPerSecond: 1,
  memoryShare: 0.9,
  outAfterSeconds: 5,
  inBelowShare: 0.5,
  inAfterSeconds: 100,
  coolDownSeconds: 10,
  minNodes: 1,
  maxNodes: 16,
};

let redis: RedisServer;
let store: RedisStore;
/** Of the latest round; every round has its probes. */
let probedMs = 0;

beforeAll(async () => {
  redis = await startRedis();
  store = new RedisStore(redis.url, { ...namespaceOf(undefined), lease: LOCK });
});
afterAll(async () => {
  await store?.close();
  await redis?.stop();
});

/** A cluster of one full node that grows when it is told to, as its observers see it. */
class World {
  nodes: NodeRecord[] = [{ index: 0, name: "a:1", address: "a:1" }];
  readonly changes: string[] = [];
  redisAway = false;
  fail: RingshiftError | undefined;
  policy: ObserverSettings["policy"] = "scale";

  observer(name: string): { readonly observer: Observer; readonly said: string[] } {
    const said: string[] = [];
    const observer = new Observer({
      settings: () => ({ ...settings, policy: this.policy }),
      spares: () => [{ address: "s:1" }, { address: "s:2" }],
      document: () => ({ phase: "S", settling: false, nodes: this.nodes }) as unknown as TopologyDocument,
      health: () => this.nodes.map(({ name }) => ({ name, state: "up", stats: { ...FULL } }) as unknown as NodeHealth),
      probedAt: () => probedMs,
      lock: (holder, ms) =>
        this.redisAway ? Promise.reject(new RingshiftError("REDIS_UNREACHABLE", "away")) : store.lease(holder, ms),
      unlock: (holder) => store.releaseLease(holder),
      apply: async (change: Change) => {
        if (this.fail !== undefined) throw this.fail;
        if (change.kind !== "add-node") throw new Error(change.kind);
        this.changes.push(`${name} adds ${change.nodes[0]!.address}`);
        this.nodes = [...this.nodes, { index: this.nodes.length, name: change.nodes[0]!.address, address: "" }];
      },
      onEvent: (_, text) => said.push(text),
    });
    return { observer, said };
  }
}

/** Rounds a second apart, of all observers by turns. */
async function rounds(seconds: number, from: number, ...observers: Observer[]): Promise<number> {
  for (let i = 0; i < seconds; i++) {
    probedMs = from + i * 1_000;
    for (const observer of observers) await observer.round(from + i * 1_000);
    await new Promise((resolve) => setImmediate(resolve)); // a change ends
  }
  return from + seconds * 1_000;
}

const HOLDERS = "This observer acts now.";
const LOOKS_ON = "Another observer acts; this one looks on.";

test("one of two acts, after its cool-down, and only it", async () => {
  const world = new World();
  const [a, b] = [world.observer("a"), world.observer("b")];
  const begin = performance.now();
  let at = await rounds(9, begin, a.observer, b.observer);
  expect([a.observer.acting, b.observer.acting, world.changes]).toEqual([true, false, []]);
  at = await rounds(3, at, a.observer, b.observer);
  expect(world.changes).toEqual(["a adds s:1"]);
  expect([a.said[0], b.said]).toEqual([HOLDERS, []]);
  await a.observer.stop();
  await b.observer.round(at);
  expect(b.observer.acting).toBe(true);
  await b.observer.stop();
});

test("who takes over knows nothing of what was done and waits for a cool-down; who lost the lock looks on", async () => {
  const world = new World();
  const [a, b] = [world.observer("a"), world.observer("b")];
  let at = await rounds(8, performance.now(), a.observer, b.observer);
  // a stands still for longer than the lock lasts
  await store.call((connection) => connection.del(LOCK));
  at = await rounds(9, at, b.observer);
  expect([b.observer.acting, world.changes]).toEqual([true, []]);
  await a.observer.round(at); // it is back, and would have acted by now
  expect([a.observer.acting, a.said.at(-1), world.changes]).toEqual([false, LOOKS_ON, []]);
  await rounds(3, at, b.observer, a.observer);
  expect(world.changes).toEqual(["b adds s:1"]);
  await Promise.all([a.observer.stop(), b.observer.stop()]);
});

test("without Redis nobody acts", async () => {
  const world = new World();
  const a = world.observer("a");
  let at = await rounds(8, performance.now(), a.observer);
  world.redisAway = true;
  at = await rounds(30, at, a.observer);
  expect([a.observer.acting, world.changes]).toEqual([false, []]);
  expect(a.said).toEqual([HOLDERS, "Redis does not answer: no observer acts until it does."]);
  world.redisAway = false;
  await rounds(12, at, a.observer);
  expect(world.changes).toEqual(["a adds s:1"]);
  await a.observer.stop();
});

test("policy report says once what it would do, and does nothing", async () => {
  const world = new World();
  world.policy = "report";
  const a = world.observer("a");
  await rounds(40, performance.now(), a.observer);
  expect(world.changes).toEqual([]);
  expect(a.said).toEqual([HOLDERS, expect.stringMatching(/95 % .*with observer.policy scale this would add s:1/)]);
  await a.observer.stop();
});

test("a spare that cannot be added is put behind the next one", async () => {
  const world = new World();
  world.fail = new RingshiftError("NODE_DOWN", "s:1 does not answer");
  const a = world.observer("a");
  await rounds(12, performance.now(), a.observer);
  expect(a.said.at(-1)).toMatch(
    /The change failed \(NODE_DOWN: s:1 does not answer\); another try after the cool-down/,
  );
  world.fail = undefined;
  // the cool-down begins at the end of the change, in real time
  await rounds(30, performance.now(), a.observer);
  expect(world.changes[0]).toBe("a adds s:2");
  await a.observer.stop();
});
