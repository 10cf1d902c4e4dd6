/** A client as a member of a managed cluster: how it gets in, and what it keeps in Redis and on the servers. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { classicSet, metaDelete, metaGet } from "../../src/memcached/commands.ts";
import { MANAGED_KEY } from "../../src/memcached/key.ts";
import { freePort } from "../memcached/support.ts";
import { audit } from "../support/audit.ts";
import { codeOf, until, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 4 });

describe("getting in", () => {
  test("a plain client refuses a managed server, unless it is told that it may", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    await client.set("a", 1);
    expect(await codeOf(createClient({ servers: cluster.servers }))).toBe("CLUSTER_MANAGED");
    const free = await bench.local.addMemcached();
    expect(await codeOf(createClient({ servers: [free.address, cluster.servers[0]!] }))).toBe("CLUSTER_MANAGED");
    const plain = bench.own(
      await createClient({ servers: cluster.servers, unmanaged: true, namespace: cluster.names.name }),
    );
    expect(await plain.get("a")).toBe(1);
    expect(plain.locate("a").set).toBeUndefined();
  });

  test("a Redis that knows no cluster is NOT_INITIALISED without servers", async () => {
    const cluster = bench.cluster();
    expect(await codeOf(createClient({ redis: cluster.redisUrl, namespace: cluster.names.name }))).toBe(
      "NOT_INITIALISED",
    );
    expect(await codeOf(cluster.admin())).toBe("NOT_INITIALISED");
    expect(await bench.redis.keys(`ringshift:${cluster.names.name}:*`)).toStrictEqual([]);
  });

  test("a compat mode that is not the cluster's is CONFIG_MISMATCH", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client({ compat: "libketama" });
    await client.set("a", 1);
    expect(await codeOf(cluster.client({ compat: "ringshift" }))).toBe("CONFIG_MISMATCH");
    expect(await codeOf(cluster.client({ compat: "libmemcached" }))).toBe("CONFIG_MISMATCH");
    expect(await (await cluster.client({ compat: "libketama" })).get("a")).toBe(1);
    expect(await (await cluster.client()).get("a")).toBe(1);
  });

  test("options that createClient does not know, or cannot use", async () => {
    const { redis, servers } = bench.cluster().where;
    for (const options of [
      {},
      { servers: [] },
      { redis, servers, retries: 3 },
      { redis, servers, timeoutMs: 0 },
      { redis, servers, ioTimeoutMs: Number.NaN },
      { redis, servers, namespace: "a b" },
      { redis, servers, namespace: "" },
      { redis, namespace: "double", servers: [servers[0]!, servers[0]!] },
      { redis, namespace: "weights", servers: [{ address: servers[0]!, weight: 1, vnodes: 40 }] },
    ]) {
      expect(await codeOf(createClient(options))).toBe("INVALID_OPTION");
    }
    expect(await bench.redis.exists("ringshift:double:topology", "ringshift:weights:topology")).toBe(0);
  });

  test("what cannot be reached is said so", async () => {
    const { redis } = bench.cluster().where;
    const nobody = `127.0.0.1:${await freePort()}`;
    expect(await codeOf(createClient({ redis: `redis://${nobody}` }))).toBe("REDIS_UNREACHABLE");
    expect(await codeOf(createClient({ redis, namespace: "nobody", servers: [nobody] }))).toBe("NODE_DOWN");
    expect(await bench.redis.exists("ringshift:nobody:topology")).toBe(0);
  });

  test("clients that start one cluster at the same time agree on it", async () => {
    const cluster = bench.cluster();
    const clients = await Promise.all(Array.from({ length: 6 }, () => cluster.client()));
    const text = await cluster.documentText();
    await Promise.all(clients.map((client, i) => client.set(`from:${i}`, i)));
    for (const client of clients) {
      expect(client.topology()).toStrictEqual(clients[0]!.topology());
      for (const [i] of clients.entries()) expect(await client.get(`from:${i}`)).toBe(i);
    }
    expect(await cluster.documentText()).toBe(text);
    expect((await audit(cluster)).faults).toStrictEqual([]);
  });

  test("a client that finds the keys of one that has just started the cluster joins it", async () => {
    for (let round = 0; round < 10; round++) {
      const cluster = bench.cluster();
      const open = async (i: number) => {
        const client = await cluster.client();
        await client.set(`first:${i}`, i); // while others are still looking at the servers
        return client;
      };
      const clients = await Promise.all(Array.from({ length: 5 }, (_, i) => open(i)));
      for (const client of clients) expect(await client.get("first:3")).toBe(3);
    }
  });

  test("what Redis knows counts, not the servers a later client names", async () => {
    const cluster = bench.cluster(2);
    await cluster.client();
    const later = await cluster.client({ servers: [bench.local.servers[2]!] });
    expect(later.topology().nodes.map(({ address }) => address)).toStrictEqual(cluster.servers);
  });
});

describe("getting out", () => {
  test("calls in flight at quit are answered, or say that they were not", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    await client.setMulti(Array.from({ length: 100 }, (_, i) => [`k:${i}`, i] as const));
    const reads = Array.from({ length: 100 }, (_, i) => client.get(`k:${i}`));
    const writes = Array.from({ length: 100 }, (_, i) => client.set(`new:${i}`, i));
    const [outcomes] = await Promise.all([Promise.allSettled([...reads, ...writes]), client.quit()]);
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === "fulfilled") expect(outcome.value).toBe(i < 100 ? i : true);
      else expect(["CLOSED", "AMBIGUOUS_WRITE"]).toContain(outcome.reason.code);
    }
  });

  test("a program that has quit its clients ends by itself", async () => {
    const { redis, servers, namespace } = bench.cluster().where;
    const program = `
      import { createClient, openAdmin } from ${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)};
      const client = await createClient(${JSON.stringify({ redis, servers, namespace })});
      const plain = await createClient({ servers: ${JSON.stringify(servers)}, unmanaged: true });
      const admin = await openAdmin(${JSON.stringify({ redis, namespace })});
      await client.set("k", 1);
      await plain.get("k");
      await Promise.all([client.quit(), plain.quit(), admin.close()]);
      process.stdout.write("quit");
    `;
    const run = promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { timeout: 20_000 });
    expect((await run).stdout).toBe("quit"); // a program that does not end is killed, which rejects
  });
});

test("namespaces on the same servers and the same Redis are apart", async () => {
  const clusters = [bench.cluster(3), bench.cluster(3), bench.cluster(2)];
  const clients = await Promise.all(clusters.map((cluster) => cluster.client()));
  for (const [i, client] of clients.entries()) await client.setMulti({ same: i, other: `o${i}`, [`own${i}`]: 1 });
  await clients[0]!.delete("same");
  expect(await Promise.all(clients.map((client) => client.get("same")))).toStrictEqual([undefined, 1, 2]);
  expect(await Promise.all(clients.map((client) => client.get("other")))).toStrictEqual(["o0", "o1", "o2"]);
  for (const [i, cluster] of clusters.entries()) {
    const { faults, count } = await audit(cluster);
    expect(faults).toStrictEqual([]);
    expect(count).toBe(i === 0 ? 2 : 3);
  }
});

describe("the index", () => {
  test("lists a key in the set of its point as soon as it is written", async () => {
    const client = await bench.cluster().client();
    const written: [string, Promise<unknown>][] = [
      ["index:set", client.set("index:set", 1)],
      ["index:add", client.add("index:add", 1)],
      ["index:multi", client.setMulti({ "index:multi": 1 })],
      ["index:é茨🦁", client.set("index:é茨🦁", 1)],
    ];
    for (const [key, write] of written) {
      await write;
      const { set, wireKey } = client.locate(key);
      expect(await bench.redis.smembers(set!)).toContain(wireKey);
    }
  });

  test("says where every one of many keys is", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    await client.setMulti(Array.from({ length: 2_000 }, (_, i) => [`k:${i}`, i] as const));
    const { faults, count } = await audit(cluster);
    expect(faults).toStrictEqual([]);
    expect(count).toBe(2_000);
  });

  test("is told of a key once by a client, and is not asked on reads", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    const keys = Array.from({ length: 200 }, (_, i) => `known:${i}`);
    await recordings();
    await client.getMulti(keys);
    expect(await recordings()).toBe(0);
    await client.setMulti(keys.map((key) => [key, 1] as const));
    const points = new Set(keys.map((key) => client.locate(key).point));
    expect(await recordings()).toBe(points.size); // one SADD a set, however many keys
    await client.setMulti(keys.map((key) => [key, 2] as const));
    for (const key of keys.slice(0, 20)) {
      await client.get(key);
      await client.incr(key);
      await client.delete(key);
      await client.add(key, 3);
    }
    expect(await recordings()).toBe(0);
    await (await cluster.client()).set(keys[0]!, "by another client");
    expect(await recordings()).toBe(1);
  });
});

/** SADD calls, those of scripts included, since the last time this was asked. */
async function recordings(): Promise<number> {
  const stats = await bench.redis.info("commandstats");
  await bench.redis.config("RESETSTAT");
  return Number(/cmdstat_sadd:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

describe("a server that was restarted", () => {
  test("serves on, empty; its fence is planted again and says that the index may have gaps", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    const keys = Array.from({ length: 300 }, (_, i) => `k:${i}`);
    await client.setMulti(keys.map((key) => [key, "before"] as const));
    const server = bench.local.memcached[0]!;
    const fenceBefore = (await bench.item(server.address, cluster.names.fenceKey))!.value!.toString();
    await server.restart();
    const lost = keys.filter((key) => client.locate(key).address === server.address);
    const kept = keys.filter((key) => !lost.includes(key));
    expect((await client.getMulti(lost)).size).toBe(0);
    expect((await client.getMulti(kept)).size).toBe(kept.length);
    await client.setMulti(keys.map((key) => [key, "after"] as const));
    expect((await client.getMulti(keys)).size).toBe(keys.length);
    const fence = async () => (await bench.item(server.address, cluster.names.fenceKey))?.value?.toString() ?? "";
    await until("the fence is planted", async () => /^\d+ [0-9a-f]{16}( u)+$/.test(await fence()));
    expect((await fence()).split(" ")[0]).toBe(fenceBefore.split(" ")[0]);
    expect((await fence()).split(" ")[1]).not.toBe(fenceBefore.split(" ")[1]);
    expect((await bench.ask(server.address, metaGet(MANAGED_KEY))).status).toBe("HD");
    expect((await audit(cluster)).faults).toStrictEqual([]);
  });

  test("is read by metadump in the next migration, which finds a key that no set lists", async () => {
    const cluster = bench.cluster();
    const [client, admin] = [await cluster.client(), await cluster.admin()];
    const server = bench.local.memcached[0]!;
    await server.restart();
    const change = { kind: "add-node", nodes: [{ address: bench.local.servers[3]! }] } as const;
    const { nodes } = await admin.plan(change);
    const after = bench.own(
      await createClient({
        servers: nodes.map(({ address }) => address),
        namespace: cluster.names.name,
        unmanaged: true,
      }),
    );
    const unlisted = Array.from({ length: 500 }, (_, i) => `unlisted:${i}`).filter(
      (key) => client.locate(key).address === server.address,
    );
    const moving = unlisted.filter((key) => after.locate(key).address === bench.local.servers[3]);
    expect(moving.length).toBeGreaterThan(10);
    await client.getMulti(unlisted); // plants the fence
    const fence = async () => (await bench.item(server.address, cluster.names.fenceKey))?.value?.toString() ?? "";
    await until("the fence is planted", async () => (await fence()).endsWith(" u"));
    for (const key of unlisted) await bench.ask(server.address, classicSet(cluster.wire(key), 0, 0, Buffer.from(key)));
    await admin.apply(change);
    expect(await client.getMulti(unlisted)).toStrictEqual(new Map(unlisted.map((key) => [key, key])));
    for (const key of moving) {
      expect(await bench.item(server.address, cluster.wire(key))).toBeUndefined();
      expect(await bench.redis.smembers(client.locate(key).set!)).toContain(client.locate(key).wireKey);
    }
  });

  test("a fence that was deleted by somebody comes back without a lost answer", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    await client.set("k", 1);
    const { address } = client.locate("k");
    for (let i = 0; i < 20; i++) {
      await bench.ask(address, metaDelete(cluster.names.fenceKey));
      expect(await client.get("k")).toBe(1 + i);
      expect(await client.incr("k")).toBe(2 + i);
      const found = async () => (await bench.item(address, cluster.names.fenceKey)) !== undefined;
      await until("the fence is planted", found);
    }
  });
});
