/** The counts behind X-Ring-Distribution: kept by the recording, exact through changes of the ring and sweeps, cheap to read. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { EntryCounter } from "../../src/gateway/entry-counter.ts";
import { type Admin, type Client, createClient, openAdmin } from "../../src/index.ts";
import { viewOf } from "../../src/migration/plan.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { EntryCounts } from "../../src/topology/entry-counts.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";

const names = namespaceOf(undefined);
let cluster: LocalCluster;
let client: Client;
let admin: Admin;
let store: RedisStore;
let counts: EntryCounts;

beforeAll(async () => {
  cluster = await LocalCluster.start();
  const redis = cluster.redis.url;
  client = await createClient({ redis, servers: cluster.servers });
  admin = await openAdmin({ redis });
  store = new RedisStore(redis, names);
  counts = new EntryCounts(store, names);
});
afterAll(async () => {
  await Promise.all([client?.quit(), admin?.close(), store?.close()]);
  await cluster?.stop();
});

const fill = (prefix: string, n: number) =>
  client.setMulti(Array.from({ length: n }, (_, i): [string, number] => [`${prefix}${i}`, i]));

/** What the sets themselves say, of all points that have one. */
async function sizes(generation: number): Promise<Map<number, number>> {
  const points = new Set<number>();
  for await (const page of store.sets())
    for (const set of page) if (set.generation === generation) points.add(set.point);
  const found = await store.counts(generation, [...points]);
  return new Map([...points].map((point, i) => [point, found[i]!]));
}

async function expectExact(): Promise<number> {
  const document = await admin.topology();
  const kept = await counts.read(document);
  expect(new Map([...kept!].sort())).toEqual(new Map([...(await sizes(document.generation))].sort()));
  return [...kept!.values()].reduce((sum, count) => sum + count, 0);
}

async function commandCalls(name: string): Promise<number> {
  const stats = await store.call((redis) => redis.info("commandstats"));
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

test("nobody counts until somebody asks, then what is there already is counted too", async () => {
  await fill("before", 300);
  expect(await counts.read(await admin.topology())).toBeUndefined();
  expect(await counts.recount(0, [...(await sizes(0)).keys()])).toBeGreaterThan(100);
  expect(await expectExact()).toBe(300);
});

test("an entry counts once, however often and by however many it is recorded", async () => {
  const other = await createClient({ redis: cluster.redis.url });
  await Promise.all([fill("twice", 200), other.setMulti({ twice1: 1, twice2: 2, own: 3 })]);
  await other.quit();
  expect(await expectExact()).toBe(501);
});

test("they are exact after servers have joined, changed and left, with writes going on", async () => {
  const joining = (await cluster.addMemcached()).address;
  let written = 0;
  let stop = false;
  const writing = (async () => {
    while (!stop) await fill(`during${written++}-`, 20);
  })();
  await admin.apply({ kind: "add-node", nodes: [{ address: joining }] });
  await admin.apply({ kind: "set-vnodes", name: joining, vnodes: 80 });
  await admin.apply({ kind: "remove-node", names: [cluster.servers[0]!] });
  stop = true;
  await writing;
  expect(await expectExact()).toBeGreaterThanOrEqual(501 + 20 * written);
});

test("summed by the ring's owners they are the distribution, without a SCARD a round", async () => {
  const document = await admin.topology();
  const view = viewOf(document);
  const counter = new EntryCounter({ view: () => view, entries: counts });
  await counter.refresh();
  const [scards, hgetalls] = [await commandCalls("scard"), await commandCalls("hgetall")];
  await fill("more", 100);
  await counter.refresh();
  expect([...counter.counts.keys()].sort()).toEqual(document.nodes.map((node) => node.index).sort());
  const plain = await sizes(document.generation);
  for (const { index, name } of document.nodes) {
    const own = new Set(view.ring.getPoints(name));
    const entries = [...plain].reduce((sum, [point, size]) => sum + (own.has(point) ? size : 0), 0);
    expect(counter.counts.get(index)).toBe(entries);
  }
  expect((await commandCalls("hgetall")) - hgetalls).toBe(1);
  const asked = plain.size; // the expectation above asked every set once
  expect((await commandCalls("scard")) - scards).toBe(asked);
});

test("a sweep counts its generation anew, and leaves no counts of the former one", async () => {
  await client.deleteMulti(Array.from({ length: 300 }, (_, i) => `before${i}`));
  const before = await expectExact();
  const { generation } = await admin.sweep();
  expect(await counts.read({ generation })).toBeUndefined();
  const view = viewOf(await admin.topology());
  const counter = new EntryCounter({ view: () => view, entries: counts });
  await counter.refresh();
  expect(await expectExact()).toBe(before - 300);
  expect(await store.call((redis) => redis.exists(names.countsOf(generation - 1)))).toBe(0);
});

test("a set that was changed by hand is counted right again", async () => {
  const { generation } = await admin.topology();
  const [point] = [...(await sizes(generation)).keys()];
  await store.call((redis) => redis.del(names.keysOf(generation, point!)));
  expect(await counts.recount(generation, [])).toBe(1);
  await expectExact();
});
