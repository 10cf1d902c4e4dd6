/**
 * The cluster of docker-compose, or any other that MEMCACHED_SERVERS and REDIS_URL name, in a namespace of this run's own. It belongs to
 * somebody: nothing is flushed, no server is added or removed, and what this run has put there is taken away at the end.
 */
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Admin, type Client, createClient, openAdmin } from "../../src/index.ts";
import { metadump } from "../../src/memcached/admin.ts";
import { metaDelete, metaGet } from "../../src/memcached/commands.ts";
import { Link } from "../../src/memcached/link.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { Traffic } from "../support/traffic.ts";

const servers = (process.env.MEMCACHED_SERVERS ?? "").split(",").filter((server) => server !== "");
const redis = process.env.REDIS_URL ?? "";
const namespace = `ci-${randomBytes(6).toString("hex")}`;
const names = namespaceOf(namespace);

describe.runIf(servers.length > 0 && redis !== "")(`the live cluster ${servers.join(", ")}`, () => {
  let client: Client;
  let admin: Admin;

  beforeAll(async () => {
    client = await createClient({ redis, servers, namespace });
    admin = await openAdmin({ redis, namespace });
  });

  afterAll(async () => {
    await Promise.all([client?.quit(), admin?.close()]); // first: a client that is alive puts a lost topology back
    await cleanUp();
    expect(await leftovers()).toStrictEqual([]);
  });

  test("values of every kind go to and fro", async () => {
    const values = {
      text: "é茨🦁",
      number: 42,
      json: { a: [1, null] },
      none: null,
      yes: true,
      bytes: Buffer.from([0, 255]),
    };
    await client.setMulti(values);
    expect(await client.getMulti(Object.keys(values))).toStrictEqual(new Map(Object.entries(values)));
    for (const [key, value] of Object.entries(values)) expect(await client.get(key)).toStrictEqual(value);
    expect(await client.incr("number")).toBe(43);
    expect(await client.get("missing")).toBeUndefined();
    const large = "x".repeat(900_000);
    await client.set("large", large);
    expect((await client.get<string>("large")) === large).toBe(true);
  });

  test("delete, add and cas apply once", async () => {
    expect(await client.set("once", 1)).toBe(true);
    expect(await client.add("once", 2)).toBe(false);
    const { cas } = (await client.gets("once"))!;
    expect(await client.cas("once", 3, cas)).toBe(true);
    expect(await client.cas("once", 4, cas)).toBe(false);
    expect(await client.delete("once")).toBe(true);
    expect(await client.delete("once")).toBe(false);
    expect(await client.get("once")).toBeUndefined();
  });

  test("a TTL is the server's", async () => {
    await client.set("ttl", 1, { ttl: 500 });
    const { address, wireKey } = client.locate("ttl");
    const link = new Link({ name: address, address });
    const reply = (await link.exchange([metaGet(wireKey, "t")])).replies[0]!;
    await link.close();
    expect(reply.ttl).toBeGreaterThan(490);
    expect(reply.ttl).toBeLessThanOrEqual(500);
  });

  test("keys are spread over the servers and listed in the sets of their points", async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `spread:${i}`);
    await client.setMulti(keys.map((key) => [key, key] as const));
    expect(new Set(keys.map((key) => client.locate(key).node)).size).toBe(servers.length);
    const look = new Redis(redis);
    for (const key of keys.slice(0, 20)) {
      const { set, wireKey } = client.locate(key);
      expect(await look.sismember(set!, wireKey)).toBe(1);
    }
    look.disconnect();
  });

  test("a node's vnodes go up and down under traffic, and nobody notices", async () => {
    const traffic = await Traffic.start({ redis, servers, namespace }, { workers: 2, keys: 400, counters: 10 });
    try {
      const { name } = (await admin.topology()).nodes[0]!;
      const up = await admin.apply({ kind: "set-vnodes", name, vnodes: 120 }, { rate: 500 });
      const down = await admin.apply({ kind: "set-vnodes", name, vnodes: 40 }, { rate: 500 });
      const outcome = await traffic.outcome(client);
      expect(outcome).toMatchObject({ failed: [], stale: [], lost: [] });
      expect(outcome.operations).toBeGreaterThan(500);
      expect(up.moved + down.moved).toBeGreaterThan(0);
      expect(await client.get("spread:7")).toBe("spread:7");
    } finally {
      await traffic.stop();
    }
  });
});

/** Our keys and fences on the servers, our names in Redis. The marker stays: it may be another cluster's as well. */
async function cleanUp(): Promise<void> {
  for (const address of servers) {
    const link = new Link({ name: address, address });
    for (const key of [...(await ourKeys(address)), names.fenceKey]) await link.exchange([metaDelete(key)]);
    await link.close();
  }
  const look = new Redis(redis);
  const left = await look.keys(`ringshift:${namespace}:*`);
  if (left.length > 0) await look.unlink(left);
  look.disconnect();
}

async function ourKeys(address: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of metadump(address)) if (key.startsWith(names.keyPrefix)) keys.push(key);
  return keys;
}

async function leftovers(): Promise<string[]> {
  const look = new Redis(redis);
  const left = await look.keys(`*${namespace}*`);
  look.disconnect();
  for (const address of servers) {
    for await (const key of metadump(address)) if (key.includes(namespace)) left.push(key);
  }
  return left;
}
