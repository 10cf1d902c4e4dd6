/** `init` that is refused, that takes over warm servers, and two at once. */
import { expect, test } from "vitest";
import { createClient, openAdmin } from "../../src/index.ts";
import { classicSet, metaGet } from "../../src/memcached/commands.ts";
import { LinkPool } from "../../src/memcached/pool.ts";
import { initCluster } from "../../src/migration/init-cluster.ts";
import { initialise } from "../../src/migration/initialise.ts";
import { Ring } from "../../src/ring/index.ts";
import { startMemcached } from "../../src/testing/index.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 4 });
const KEYS = Array.from({ length: 600 }, (_, i) => `key:${i}`);

/** What a ketama client of before has stored in the namespace, on some of the cluster's servers. */
async function warm(cluster: ReturnType<typeof bench.cluster>, servers: readonly string[]): Promise<void> {
  const ring = new Ring(cluster.servers.map((name) => ({ name })));
  for (const key of KEYS) {
    const wire = cluster.wire(key);
    const [, owner] = ring.getServer(wire);
    if (servers.includes(owner)) await bench.ask(owner, classicSet(wire, 0, 0, Buffer.from("v")));
  }
}

test("an init that one server refuses leaves the others as they were", async () => {
  const cluster = bench.cluster(3);
  const [first, ...others] = cluster.servers;
  await warm(cluster, others);
  const nodes = cluster.servers.map((address) => ({ address }));
  const where = { redis: cluster.redisUrl, namespace: cluster.names.name };
  await expect(initCluster(nodes, where)).rejects.toMatchObject({ code: "NODE_NOT_EMPTY" });
  for (const address of cluster.servers) expect(await bench.item(address, cluster.names.fenceKey)).toBeUndefined();
  expect((await bench.ask(first!, metaGet("ringshift:managed"))).status).toBe("EN"); // a client without Redis goes on
});

/** Every server's fence says that its keys are in no index, and a change brings them all along. */
async function isAdopted(cluster: ReturnType<typeof bench.cluster>): Promise<void> {
  for (const address of cluster.servers) {
    const fence = await bench.item(address, cluster.names.fenceKey);
    expect(fence?.value?.toString()).toMatch(/^0 [0-9a-f]{16} u$/);
  }
  const where = { redis: cluster.redisUrl, namespace: cluster.names.name };
  const client = bench.own(await createClient(where));
  const admin = bench.own(await openAdmin(where));
  await admin.apply({ kind: "add-node", nodes: [{ address: bench.local.servers[3]! }] });
  expect((await client.getMulti(KEYS)).size).toBe(KEYS.length);
}

test("init --adopt takes a server that is filled after the look at it for one whose keys are in no index", async () => {
  const restarted = bench.own(await startMemcached()); // without a single item
  const cluster = bench.cluster([restarted.address, ...bench.local.servers.slice(0, 2)]);
  const nodes = cluster.servers.map((address) => ({ address }));
  await warm(cluster, cluster.servers.slice(1));
  const where = { redis: cluster.redisUrl, namespace: cluster.names.name };
  await initCluster(nodes, { ...where, adopt: true });
  await warm(cluster, cluster.servers.slice(0, 1)); // by whoever had not heard of it yet
  await isAdopted(cluster);
});

test("init --adopt marks the fences that an interrupted init has planted", async () => {
  const cluster = bench.cluster(3);
  const planted = Buffer.from(`0 ${"0123456789abcdef"}`);
  await bench.ask(cluster.servers[0]!, classicSet(cluster.names.fenceKey, 0, 0, planted));
  await warm(cluster, cluster.servers);
  const nodes = cluster.servers.map((address) => ({ address }));
  await initCluster(nodes, { redis: cluster.redisUrl, namespace: cluster.names.name, adopt: true });
  await isAdopted(cluster);
});

test("of two init --flush at once the later one does not flush the cluster that the other one has begun", async () => {
  const cluster = bench.cluster(3);
  const where = { redis: cluster.redisUrl, namespace: cluster.names.name };
  const nodes = cluster.servers.map((address) => ({ address }));
  const store = cluster.store();
  const pool = bench.own(new LinkPool({ fenceKey: cluster.names.fenceKey }));
  const read = store.read.bind(store);
  let looked = false;
  store.read = async () => {
    const seen = await read();
    if (looked) return seen;
    looked = true; // and now the other process gets through
    await initCluster(nodes, { ...where, flush: true });
    await bench.own(await createClient(where)).setMulti(KEYS.map((key) => [key, 1] as const));
    return seen;
  };
  const later = initialise(store, pool, cluster.names, nodes, { flush: true });
  await expect(later).rejects.toMatchObject({ code: "ALREADY_INITIALISED" });
  expect((await bench.own(await createClient(where)).getMulti(KEYS)).size).toBe(KEYS.length);
});

test("of two init --flush at once the one that is refused leaves every server with a fence", async () => {
  const cluster = bench.cluster(3);
  const where = { redis: cluster.redisUrl, namespace: cluster.names.name };
  const nodes = cluster.servers.map((address) => ({ address }));
  const store = cluster.store();
  const pool = bench.own(new LinkPool({ fenceKey: cluster.names.fenceKey }));
  const read = store.read.bind(store);
  let looks = 0;
  store.read = async () => {
    const seen = await read();
    if (++looks === 2) await initCluster(nodes, { ...where, flush: true }); // behind the look that allows the first flush
    return seen;
  };
  const later = initialise(store, pool, cluster.names, nodes, { flush: true });
  await expect(later).rejects.toMatchObject({ code: "ALREADY_INITIALISED" });
  for (const server of cluster.servers) {
    const { status } = await bench.ask(server, metaGet(cluster.names.fenceKey, "v"));
    expect(status).toBe("VA");
  }
});
