/** docs/compatibility.md, held to: three other clients and ringshift on the same servers, each reading what the other has written. */
import { promisify } from "node:util";
import { Memcache } from "memcache";
import Memcached from "memcached";
import { Client as Memjs } from "memjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { type MemcachedServer, startMemcached } from "../../src/testing/index.ts";

/** What the others share: text in, whatever they make of it out. */
interface Other {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<unknown>;
  incr(key: string, by: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

let servers: MemcachedServer[];
let ringshift: Client;
const others = {} as Record<"memcached" | "memjs" | "memcache", Other>;
const endings: (() => unknown)[] = [];

beforeAll(async () => {
  servers = await Promise.all([startMemcached(), startMemcached(), startMemcached()]);
  const addresses = servers.map(({ address }) => address);
  ringshift = await createClient({ servers: addresses });
  endings.push(() => ringshift.quit());
  others.memcached = threeRdEden(addresses);
  others.memjs = atTheOwner(addresses, memjs);
  others.memcache = atTheOwner(addresses, memcache);
});

afterAll(async () => {
  for (const end of endings) await end();
  await Promise.all(servers.map((server) => server.stop()));
});

/** Its ring is ringshift's, so it is given all servers. */
function threeRdEden(addresses: readonly string[]): Other {
  const client = new Memcached(addresses);
  endings.push(() => client.end());
  return {
    get: promisify(client.get.bind(client)),
    set: (key, value) => promisify(client.set.bind(client))(key, value, 0),
    incr: promisify(client.incr.bind(client)),
    delete: promisify(client.del.bind(client)),
  };
}

/** Those whose rings are their own are pointed at the key's server. */
function atTheOwner(addresses: readonly string[], open: (address: string) => Other): Other {
  const clients = new Map(addresses.map((address) => [address, open(address)]));
  const owner = (key: string) => clients.get(ringshift.locate(key).address)!;
  return {
    get: (key) => owner(key).get(key),
    set: (key, value) => owner(key).set(key, value),
    incr: (key, by) => owner(key).incr(key, by),
    delete: (key) => owner(key).delete(key),
  };
}

/** As far as ringshift itself does not declare it. */
interface WholeMemjs extends Memjs {
  increment(key: string, by: number, options: object): Promise<{ readonly value: number }>;
  delete(key: string): Promise<boolean>;
  close(): void;
}

function memjs(address: string): Other {
  const client = Memjs.create(address, { retries: 0 }) as WholeMemjs;
  endings.push(() => client.close());
  return {
    get: async (key) => (await client.get(key)).value,
    set: (key, value) => client.set(key, value as string, { expires: 0 }),
    incr: async (key, by) => (await client.increment(key, by, {})).value,
    delete: (key) => client.delete(key),
  };
}

function memcache(address: string): Other {
  const client = new Memcache({ nodes: [address] });
  endings.push(() => client.disconnect());
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value as string),
    incr: (key, by) => client.incr(key, by),
    delete: (key) => client.delete(key),
  };
}

const text = (value: string) => Buffer.from(value, "utf8");

describe("what ringshift writes", () => {
  test.each([
    ["a string", "plain", "plain", text("plain"), "plain"],
    ["a number", 12.5, 12.5, text("12.5"), "12.5"],
    ["0", 0, 0, text("0"), "0"],
    ["a bigint", 2n ** 63n, String(2n ** 63n), text(String(2n ** 63n)), String(2n ** 63n)],
    ["JSON", { a: [1, null] }, { a: [1, null] }, text('{"a":[1,null]}'), '{"a":[1,null]}'],
    ["true", true, true, text("true"), "true"],
    ["null", null, null, text("null"), "null"],
    ["ASCII bytes", Buffer.from("abc"), Buffer.from("abc"), text("abc"), "abc"],
  ])("%s", async (name, value, eden, memjsBytes, memcacheText) => {
    const key = `ours:${name.replaceAll(" ", "-")}`;
    await ringshift.set(key, value);
    expect(await others.memcached.get(key)).toEqual(eden);
    expect(await others.memjs.get(key)).toEqual(memjsBytes);
    expect(await others.memcache.get(key)).toBe(memcacheText);
  });

  test("text beyond ASCII: memcached and memjs read it", async () => {
    await ringshift.set("ours:é", "schöne Grüße");
    expect(await others.memcached.get("ours:é")).toBe("schöne Grüße");
    expect(await others.memjs.get("ours:é")).toEqual(text("schöne Grüße"));
  });

  test("bytes above 0x7f: memjs reads them, memcached damages them", async () => {
    const bytes = Buffer.from([0, 1, 200, 255]);
    await ringshift.set("ours:bytes", bytes);
    expect(await others.memjs.get("ours:bytes")).toEqual(bytes);
    expect(await others.memcached.get("ours:bytes")).not.toEqual(bytes);
  });

  test("compressed values: the others get the compressed bytes", async () => {
    const compressing = await createClient({ servers: servers.map(({ address }) => address), compress: {} });
    await compressing.set("ours:big", "x".repeat(5_000));
    expect((await others.memjs.get("ours:big")) as Buffer).not.toHaveLength(5_000);
    expect(await ringshift.get("ours:big")).toBe("x".repeat(5_000));
    await compressing.quit();
  });
});

describe("what they write", () => {
  test.each([
    ["a string", "plain", "plain"],
    ["text beyond ASCII", "schöne Grüße", "schöne Grüße"],
    ["an empty string", "", ""],
    ["a number", 12.5, 12.5],
    ["an object", { a: [1, null] }, { a: [1, null] }],
    ["true", true, true],
    ["null", null, null],
  ])("memcached: %s", async (name, value, read) => {
    const key = `eden:${name.replaceAll(" ", "-")}`;
    await others.memcached.set(key, value);
    expect(await ringshift.get(key)).toEqual(read);
  });

  test.each(["memjs", "memcache"] as const)("%s: text, always as a string", async (name) => {
    for (const value of ["plain", "12.5", '{"a":1}', "schöne Grüße", ""]) {
      await others[name].set(`${name}:text`, value);
      expect(await ringshift.get(`${name}:text`)).toBe(value);
    }
  });
});

test.each(["memcached", "memjs", "memcache"] as const)(
  "%s counts on, and deletes, what ringshift has stored",
  async (name) => {
    const key = `count:${name}`;
    await ringshift.set(key, 5);
    expect(await others[name].incr(key, 2)).toBe(7);
    expect(await ringshift.incr(key)).toBe(8);
    expect(await others[name].incr(key, 2)).toBe(10);
    expect(await ringshift.get(key)).toBe(10);
    await others[name].delete(key);
    expect(await ringshift.get(key)).toBeUndefined();
  },
);

test("memcached's own ring is ringshift's: both know the same server for every key", async () => {
  const keys = Array.from({ length: 300 }, (_, i) => `ring:${i}`);
  await ringshift.setMulti(keys.map((key) => [key, key]));
  for (const key of keys) expect(await others.memcached.get(key)).toBe(key);
});
