/** A client that looks where its servers are named: what it says, and what it does where it may. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { applyAll, type Proposal } from "../../src/discovery/apply.ts";
import type { DiscoverySource } from "../../src/discovery/source.ts";
import { DiscoveryWatch } from "../../src/discovery/watch.ts";
import { RingshiftError } from "../../src/errors.ts";
import {
  type Admin,
  type Change,
  type Client,
  type ClientOptions,
  createClient,
  type DiscoveryEvent,
  openAdmin,
} from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "ringshift-discovery-"));
const file = join(folder, "servers");
afterAll(() => rmSync(folder, { recursive: true }));

const KEYS = Array.from({ length: 300 }, (_, i) => `key:${i}`);

let cluster: LocalCluster;
const clients: Client[] = [];

beforeEach(async () => {
  cluster = await LocalCluster.start({ memcached: 2 });
  name(cluster.servers);
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.quit()));
  await cluster.stop();
});

function name(addresses: readonly string[]): void {
  writeFileSync(file, addresses.map((address) => `${address} 1\n`).join(""));
}

async function open(options: ClientOptions): Promise<{ client: Client; events: DiscoveryEvent[] }> {
  const client = await createClient(options);
  clients.push(client);
  const events: DiscoveryEvent[] = [];
  client.on("discovery", (event) => events.push(event));
  return { client, events };
}

const looking = (more: Partial<NonNullable<ClientOptions["discovery"]>> = {}) => ({
  discovery: { from: `file:${file}`, intervalMs: 20, ...more },
});

test("discovery stands in for servers, with and without Redis", async () => {
  const { client } = await open({ redis: cluster.redis.url, ...looking() });
  expect(
    client
      .topology()
      .nodes.map(({ address }) => address)
      .sort(),
  ).toEqual([...cluster.servers].sort());
  expect(await client.set("k", 1)).toBe(true);
  const fresh = await LocalCluster.start({ memcached: 2 });
  try {
    name(fresh.servers);
    const { client: plain } = await open(looking());
    await plain.setMulti(KEYS.map((key) => [key, 1]));
    expect((await plain.getMulti(KEYS)).size).toBe(KEYS.length);
  } finally {
    await clients.pop()!.quit();
    await fresh.stop();
  }
});

test("a difference is said, once, and not applied", async () => {
  const { client, events } = await open({ redis: cluster.redis.url, servers: cluster.servers, ...looking() });
  const joining = await cluster.addMemcached();
  name([cluster.servers[0]!, joining.address]);
  const wanted = {
    source: `file:${file}`,
    state: "differs",
    add: [joining.address],
    remove: [cluster.servers[1]],
    reweigh: [],
  };
  await expect.poll(() => events, { timeout: 20_000 }).toEqual([wanted]);
  name(cluster.servers.slice(0, 1));
  await expect.poll(() => events.length, { timeout: 20_000 }).toBe(2);
  expect(events[0]).toEqual(wanted);
  expect(events[1]).toMatchObject({ state: "differs", add: [] });
  expect(client.topology().nodes).toHaveLength(2);
});

test("a source that fails is said too, and the client goes on", async () => {
  const { client, events } = await open({ redis: cluster.redis.url, servers: cluster.servers, ...looking() });
  writeFileSync(file, "");
  await expect
    .poll(() => events, { timeout: 20_000 })
    .toMatchObject([{ state: "failed", error: { code: "INVALID_OPTION" } }]);
  expect(await client.set("k", 1)).toBe(true);
  const { client: late } = await open({ redis: cluster.redis.url, ...looking() });
  const nobody = createClient({ redis: cluster.redis.url, namespace: "other", ...looking() });
  await expect(nobody).rejects.toMatchObject({ code: "INVALID_OPTION" }); // a cluster to be started needs the source
  expect(await late.get("k")).toBe(1);
});

describe("with autoApply", () => {
  test("servers come and go as migrations, whoever of several clients does it, and no value is lost", async () => {
    const endpoint = await ScriptedServer.listen(() => [{ send: "ERROR\r\n" }]);
    const answer = (addresses: readonly string[]) => {
      const words = addresses.map((address) => `${address.split(":")[0]}||${address.split(":")[1]}`).join(" ");
      endpoint.script = () => [{ send: `CONFIG cluster 0 ${words.length + 4}\r\n12\n${words}\n\r\nEND\r\n` }];
    };
    try {
      answer(cluster.servers);
      const options = {
        redis: cluster.redis.url,
        discovery: { from: `elasticache:${endpoint.address}`, intervalMs: 20, autoApply: true },
      };
      const [one, two] = [await open(options), await open(options)];
      await one.client.setMulti(KEYS.map((key) => [key, key]));
      const [gone, kept] = cluster.servers as [string, string];
      const joining = await cluster.addMemcached();
      answer([kept, joining.address]);
      const addresses = (client: Client) => client.topology().nodes.map(({ address }) => address);
      for (const { client, events } of [one, two]) {
        await expect.poll(() => addresses(client), { timeout: 50_000 }).toEqual([kept, joining.address]);
        expect(events.map(({ state }) => state)).not.toContain("failed");
        expect(new Map(await client.getMulti(KEYS))).toEqual(new Map(KEYS.map((key) => [key, key])));
      }
      const said = [...one.events, ...two.events];
      await expect
        .poll(() => [...one.events, ...two.events].map(({ state }) => state), { timeout: 20_000 })
        .toContain("applied");
      expect(said[0]).toMatchObject({ state: "differs", add: [joining.address], remove: [gone] });
    } finally {
      await endpoint.close();
    }
  });

  test("what cannot be applied is said with its reason, and tried again", async () => {
    const { client, events } = await open({
      redis: cluster.redis.url,
      servers: cluster.servers,
      ...looking({ autoApply: true }),
    });
    name([...cluster.servers, "127.0.0.1:1"]);
    await expect
      .poll(() => events.at(-1), { timeout: 20_000 })
      .toMatchObject({
        state: "failed",
        add: ["127.0.0.1:1"],
        error: { code: "NODE_DOWN" },
      });
    const joining = await cluster.addMemcached();
    name(cluster.servers);
    expect(cluster.servers).toContain(joining.address);
    await expect.poll(() => client.topology().nodes.length, { timeout: 50_000 }).toBe(3);
  });

  test("a server that the source names by another address than the cluster does is not removed, since it cannot be added", async () => {
    const [a, b] = cluster.servers as [string, string];
    const other = b.replace("127.0.0.1", "localhost");
    const options = { redis: cluster.redis.url, servers: [a, other] };
    const { client, events } = await open({ ...options, ...looking({ autoApply: true }) });
    const ended = () => events.filter(({ state }) => state !== "differs");
    await expect
      .poll(ended, { timeout: 50_000 })
      .toMatchObject([{ state: "failed", add: [b], remove: [other], error: { code: "NODE_EXISTS" } }]);
    expect(client.topology().nodes.map(({ address }) => address)).toEqual([a, other]);
  });
});

describe("applyAll", () => {
  const present = (admin: Admin) => admin.topology().then(({ nodes }) => nodes.map(({ address }) => address));
  const without = (address: string): Change => ({ kind: "remove-node", names: [address] });
  const adding = (...addresses: string[]): Change => ({
    kind: "add-node",
    nodes: addresses.map((address) => ({ address })),
  });

  test("a change that another process has made a part of stops those that rest on it", async () => {
    const redis = cluster.redis.url;
    const [old, kept] = cluster.servers as [string, string];
    await open({ redis, servers: cluster.servers });
    const [one, two] = [await cluster.addMemcached(), await cluster.addMemcached()].map(({ address }) => address);
    const admin = await openAdmin({ redis });
    try {
      const found = [kept, one!, two!].map((address) => ({ address }));
      const changes = [adding(one!, two!), without(old)];
      await admin.apply(adding(one!));
      const applied: Change[] = [];
      await applyAll({ redis }, { found, changes }, (change) => applied.push(change));
      expect(applied).toEqual([]);
      expect(await present(admin)).toEqual([old, kept, one]);
      await applyAll({ redis }, { found, changes: [adding(two!), without(old)] }, (change) => applied.push(change));
      expect(applied).toEqual([adding(two!), without(old)]);
      expect(await present(admin)).toEqual([kept, one, two]);
      await applyAll({ redis }, { found, changes: [without(old)] }, (change) => applied.push(change));
      expect(applied).toHaveLength(2); // another one was faster: nothing is left, and nothing was done here
    } finally {
      await admin.close();
    }
  });
});

test("of a difference that is carried out in part, each part is said as what became of it", async () => {
  const found = ["b", "c"].map((address) => ({ address: `${address}:1` }));
  const source: DiscoverySource = { text: "dns:x", find: async () => found };
  const nodes = () => ["a:1", "b:1"].map((address, index) => ({ index, name: address, address }));
  const apply = async ({ changes }: Proposal, onApplied: (change: Change) => void) => {
    onApplied(changes[0]!);
    throw new RingshiftError("NODE_DOWN", "a:1 does not answer");
  };
  const watch = new DiscoveryWatch({ source, intervalMs: 3_600_000, nodes, apply });
  const events: DiscoveryEvent[] = [];
  const done = new Promise<void>((resolve) => {
    watch.start((event) => events.push(event) === 1 && resolve());
  });
  await done;
  await watch.look();
  await watch.stop();
  expect(events).toMatchObject([
    { state: "differs", add: ["c:1"], remove: ["a:1"] },
    { state: "applied", add: ["c:1"], remove: [] },
    { state: "failed", add: [], remove: ["a:1"], error: { code: "NODE_DOWN" } },
  ]);
});

test.each([
  ["an unknown source", { from: "consul:x" }, /A source of servers is/],
  ["an unknown option", { from: "dns:a", interval: 5 }, /did you mean intervalMs/],
  ["too long an interval", { from: "dns:a", intervalMs: 2 ** 31 }, /discovery.intervalMs is at most 2147483647/],
  ["no interval", { from: "dns:a", intervalMs: 0 }, /discovery.intervalMs/],
  ["autoApply without Redis", { from: "dns:a", autoApply: true }, /needs `redis`/],
  ["text alone", "dns:a", /discovery is an object/],
  ["DNS servers that are none", { from: "dns:a", dnsServers: "x" }, /discovery.dnsServers/],
])("%s is refused", async (_, discovery, message) => {
  const options = { discovery } as unknown as ClientOptions;
  await expect(createClient(options)).rejects.toMatchObject({
    code: "INVALID_OPTION",
    message: expect.stringMatching(message),
  });
});
