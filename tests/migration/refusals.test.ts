/** Changes that are refused: a code that says why, and not a byte of the topology is another. */
import { expect, test } from "vitest";
import type { Admin, Change, ChangeOptions } from "../../src/index.ts";
import { classicSet } from "../../src/memcached/commands.ts";
import { startMemcached } from "../../src/testing/index.ts";
import { freePort } from "../memcached/support.ts";
import { audit } from "../support/audit.ts";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 4 });
const server = (i: number) => bench.local.servers[i]!;

/** A cluster of two nodes, the second under a name of its own, with a few keys. */
async function twoNodes() {
  const cluster = bench.cluster([server(0), server(1)]);
  const client = await cluster.client({ servers: [server(0), { address: server(1), name: "second" }] });
  await client.setMulti(Array.from({ length: 100 }, (_, i) => [`k:${i}`, i] as const));
  return { cluster, client, admin: await cluster.admin() };
}

const refusedBy = async (admin: Admin, change: Change, options: ChangeOptions = {}) => [
  await codeOf(admin.plan(change)),
  await codeOf(admin.apply(change, options)),
];
const add = (address: string, rest: object = {}): Change => ({ kind: "add-node", nodes: [{ address, ...rest }] });

const REFUSALS: readonly (readonly [string, string, () => Change])[] = [
  ["a node that is there", "NODE_EXISTS", () => add(server(0))],
  ["an address that is there under another name", "NODE_EXISTS", () => add(server(1))],
  ["a name that is there at another address", "NODE_EXISTS", () => add(server(2), { name: "second" })],
  [
    "the same node twice",
    "NODE_EXISTS",
    () => ({ kind: "add-node", nodes: [{ address: server(2) }, { address: server(2) }] }),
  ],
  ["a server of the cluster by another address", "NODE_EXISTS", () => add(server(0).replace("127.0.0.1", "localhost"))],
  ["a living node as dead", "INVALID_OPTION", () => ({ kind: "remove-node", names: [server(0)], dead: true })],
  ["an unknown node to remove", "NODE_UNKNOWN", () => ({ kind: "remove-node", names: [server(2)] })],
  ["an unknown node among known ones", "NODE_UNKNOWN", () => ({ kind: "remove-node", names: ["second", "third"] })],
  ["an unknown node to weigh", "NODE_UNKNOWN", () => ({ kind: "set-weight", name: "third", weight: 2 })],
  ["all nodes to remove", "LAST_NODE", () => ({ kind: "remove-node", names: [server(0), "second"] })],
  ["a weight of 0", "INVALID_OPTION", () => ({ kind: "set-weight", name: "second", weight: 0 })],
  ["a weight that is no number", "INVALID_OPTION", () => ({ kind: "set-weight", name: "second", weight: Number.NaN })],
  ["no vnodes", "INVALID_OPTION", () => ({ kind: "set-vnodes", name: "second", vnodes: 0 })],
  ["too many vnodes", "INVALID_OPTION", () => ({ kind: "set-vnodes", name: "second", vnodes: 4_097 })],
  ["a fraction of vnodes", "INVALID_OPTION", () => ({ kind: "set-vnodes", name: "second", vnodes: 1.5 })],
  ["weight and vnodes", "INVALID_OPTION", () => add(server(2), { weight: 1, vnodes: 40 })],
  ["a name with a blank", "INVALID_OPTION", () => add(server(2), { name: "a b" })],
  ["a name of Object.prototype", "INVALID_OPTION", () => add(server(2), { name: "constructor" })],
  ["an address with a bad port", "NODE_ADDRESS", () => add("127.0.0.1:memcached")],
  ["nothing to add", "INVALID_OPTION", () => ({ kind: "add-node", nodes: [] })],
  ["nothing to remove", "INVALID_OPTION", () => ({ kind: "remove-node", names: [] })],
  ["a host nobody knows", "NODE_ADDRESS", () => add("no-such-host.invalid:11211")],
];

test("one server under two addresses is refused before it is emptied, and when the cluster is started", async () => {
  const { client, admin } = await twoNodes();
  const again = add(server(1).replace("127.0.0.1", "localhost"));
  await expect(admin.apply(again, { flush: true })).rejects.toMatchObject({ code: "NODE_EXISTS", node: "second" });
  expect((await client.getMulti(Array.from({ length: 100 }, (_, i) => `k:${i}`))).size).toBe(100);
  const both: Change = {
    kind: "add-node",
    nodes: [{ address: server(2) }, { address: server(2).replace("127.0.0.1", "localhost") }],
  };
  await expect(admin.apply(both)).rejects.toMatchObject({ code: "NODE_EXISTS" });
  const fresh = bench.cluster([server(3)]);
  const twice = { servers: [server(3), server(3).replace("127.0.0.1", "localhost")] };
  await expect(fresh.client(twice)).rejects.toMatchObject({ code: "NODE_EXISTS" });
});

test("a change that cannot be: its code, from plan and apply", async () => {
  const { cluster, client, admin } = await twoNodes();
  const text = await cluster.documentText();
  for (const [title, code, change] of REFUSALS) {
    expect([title, await refusedBy(admin, change())]).toStrictEqual([title, [code, code]]);
    expect([title, await cluster.documentText()]).toStrictEqual([title, text]);
  }
  expect((await client.getMulti(Array.from({ length: 100 }, (_, i) => `k:${i}`))).size).toBe(100);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("a last node is not removed", async () => {
  const cluster = bench.cluster(1);
  await cluster.client();
  const text = await cluster.documentText();
  const change: Change = { kind: "remove-node", names: cluster.servers };
  expect(await refusedBy(await cluster.admin(), change)).toStrictEqual(["LAST_NODE", "LAST_NODE"]);
  expect(await cluster.documentText()).toBe(text);
});

test("a server that does not answer: NODE_DOWN", async () => {
  const { cluster, admin } = await twoNodes();
  const text = await cluster.documentText();
  const nobody = add(`127.0.0.1:${await freePort()}`);
  expect(await refusedBy(admin, nobody)).toStrictEqual(["NODE_DOWN", "NODE_DOWN"]);
  const change: Change = {
    kind: "add-node",
    nodes: [{ address: server(2) }, { address: `127.0.0.1:${await freePort()}` }],
  };
  expect(await refusedBy(admin, change)).toStrictEqual(["NODE_DOWN", "NODE_DOWN"]);
  expect(await cluster.documentText()).toBe(text);
});

test("a server that accepts and never answers is refused too", async () => {
  const { cluster, admin } = await twoNodes();
  const text = await cluster.documentText();
  const stuck = bench.own(await startMemcached());
  await stuck.kill("SIGSTOP");
  expect(await codeOf(admin.apply(add(stuck.address)))).toBe("TIMEOUT");
  expect(await cluster.documentText()).toBe(text);
});

test("a member that does not answer stops it before it begins, and the change goes through when it is back", async () => {
  const { cluster, client, admin } = await twoNodes();
  const text = await cluster.documentText();
  await bench.local.memcached[1]!.kill("SIGSTOP");
  try {
    expect(["NODE_DOWN", "TIMEOUT"]).toContain(await codeOf(admin.apply(add(server(2)))));
  } finally {
    await bench.local.memcached[1]!.kill("SIGCONT");
  }
  expect(await cluster.documentText()).toBe(text);
  await admin.apply(add(server(2)));
  expect((await client.getMulti(Array.from({ length: 100 }, (_, i) => `k:${i}`))).size).toBe(100);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("a server that holds keys of this namespace: NODE_NOT_EMPTY, unless it is flushed", async () => {
  const { cluster, client, admin } = await twoNodes();
  const text = await cluster.documentText();
  const old = classicSet(cluster.wire("k:1"), 0, 0, Buffer.from("an old value"));
  await bench.ask(server(2), old);
  await bench.ask(server(2), classicSet("foreign", 0, 0, Buffer.from("somebody else's")));
  expect(await refusedBy(admin, add(server(2)))).toStrictEqual(["NODE_NOT_EMPTY", "NODE_NOT_EMPTY"]);
  expect(await cluster.documentText()).toBe(text);
  expect(await bench.item(server(2), cluster.wire("k:1"))).toBeDefined();
  await admin.apply(add(server(2)), { flush: true });
  expect(await client.get("k:1")).toBe(1);
  expect((await bench.item(server(2), "foreign"))?.value?.toString()).toBe("somebody else's");
  expect((await audit(cluster)).faults).toStrictEqual([]);
});

test("a server without CAS: CAS_DISABLED", async () => {
  const { cluster, admin } = await twoNodes();
  const text = await cluster.documentText();
  const noCas = bench.own(await startMemcached({ args: ["-C"] }));
  expect(await refusedBy(admin, add(noCas.address))).toStrictEqual(["CAS_DISABLED", "CAS_DISABLED"]);
  expect(await cluster.documentText()).toBe(text);
  expect(await bench.item(noCas.address, cluster.names.fenceKey)).toBeUndefined();
  const cluster2 = bench.cluster([noCas.address]);
  expect(await codeOf(cluster2.client())).toBe("CAS_DISABLED");
  expect(await cluster2.documentText()).toBeNull();
});

test.each(["allkeys-lru", "allkeys-lfu", "allkeys-random"])("a Redis with %s: REDIS_EVICTS", async (policy) => {
  const { cluster, admin } = await twoNodes();
  const text = await cluster.documentText();
  await bench.redis.config("SET", "maxmemory-policy", policy);
  try {
    expect(await codeOf(admin.apply(add(server(2))))).toBe("REDIS_EVICTS");
    const cluster2 = bench.cluster([server(3)]);
    expect(await codeOf(cluster2.client())).toBe("REDIS_EVICTS");
    expect(await cluster2.documentText()).toBeNull();
  } finally {
    await bench.redis.config("SET", "maxmemory-policy", "noeviction");
  }
  expect(await cluster.documentText()).toBe(text);
});

test("the fence of a cluster further on: NODE_NOT_EMPTY", async () => {
  const { cluster, admin } = await twoNodes();
  const text = await cluster.documentText();
  const fence = Buffer.from(`99 ${"0123456789abcdef"}`);
  await bench.ask(server(2), classicSet(cluster.names.fenceKey, 0, 0, fence));
  expect(await codeOf(admin.apply(add(server(2))))).toBe("NODE_NOT_EMPTY");
  expect(await cluster.documentText()).toBe(text);
});

test("a change that moves nothing is no failure", async () => {
  const { cluster, client, admin } = await twoNodes();
  expect(await admin.apply({ kind: "set-vnodes", name: "second", vnodes: 40 })).toMatchObject({ moved: 0 });
  expect((await client.getMulti(Array.from({ length: 100 }, (_, i) => `k:${i}`))).size).toBe(100);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});
