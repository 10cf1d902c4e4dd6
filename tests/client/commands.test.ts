/** Every command of the client on three servers at rest, for a client of a managed cluster and for a plain one. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { codeOf, useBench } from "../support/bench.ts";

const managed = useBench();
let plain: LocalCluster;
beforeAll(async () => {
  plain = await LocalCluster.start({ redis: false });
});
afterAll(() => plain.stop());

const KINDS = {
  "a client with Redis": () =>
    createClient({ redis: managed.local.redis.url, servers: managed.local.servers, namespace: "commands" }),
  "a plain client": () => createClient({ servers: plain.servers }),
};

/** The Object.prototype names and one more that upset caches kept in plain objects. */
const PROTOTYPE_NAMES = ["__proto__", "constructor", "hasOwnProperty", "toString", "valueOf", "prototype"];

/** A Buffer as text: an assertion that goes through 900 KB byte by byte takes seconds. */
function shown(value: unknown): unknown {
  return Buffer.isBuffer(value) ? `Buffer ${value.toString("latin1")}` : value;
}

describe.each(Object.entries(KINDS))("%s", (_, open) => {
  let client: Client;
  beforeAll(async () => {
    client = await open();
  });
  afterAll(() => client.quit());

  const item = (key: string) => {
    const { address, wireKey } = client.locate(key);
    return managed.item(address, Buffer.from(wireKey, "utf8").toString("latin1"));
  };

  const VALUES: readonly [string, unknown][] = [
    ["text", "plain text"],
    ["unicode text", "Ada Löwe 茨城県 🦁\u0000\r\nEND\r\n"],
    ["the empty string", ""],
    ["bytes", Buffer.from(Array.from({ length: 256 }, (_value, i) => i))],
    ["no bytes", Buffer.alloc(0)],
    ["an integer", 42],
    ["a negative fraction", -1.5e-7],
    ["true", true],
    ["false", false],
    ["null", null],
    ["an object", { name: "Ada", tags: ["a", { b: null }], n: 1.5, text: "é" }],
    ["an array", [1, "two", [3]]],
    ["900 KB", Buffer.alloc(900 * 1024, "ringshift")],
    ["900 KB of text", "x".repeat(900 * 1024)],
  ];

  test.each(VALUES)("%s comes back as it was, from get, gets and getMulti", async (name, value) => {
    const key = `value:${name.replaceAll(" ", "-")}`;
    expect(await client.set(key, value)).toBe(true);
    expect(shown(await client.get(key))).toStrictEqual(shown(value));
    expect(shown((await client.gets(key))?.value)).toStrictEqual(shown(value));
    const found = await client.getMulti([key]);
    expect([...found.keys()]).toStrictEqual([key]);
    expect(shown(found.get(key))).toStrictEqual(shown(value));
  });

  test("a Uint8Array comes back as a Buffer of its own part of the memory", async () => {
    const memory = Uint8Array.from([9, 1, 2, 3, 9]);
    await client.set("view", memory.subarray(1, 4));
    expect(await client.get("view")).toStrictEqual(Buffer.from([1, 2, 3]));
  });

  test("a miss is undefined, and commands that do not apply are false", async () => {
    expect(await client.get("none")).toBeUndefined();
    expect(await client.gets("none")).toBeUndefined();
    expect(await client.getMulti(["none", "none2"])).toStrictEqual(new Map());
    expect(await client.replace("none", 1)).toBe(false);
    expect(await client.delete("none")).toBe(false);
    expect(await client.del("none")).toBe(false);
    expect(await client.touch("none", 5)).toBe(false);
    expect(await client.incr("none")).toBeUndefined();
    expect(await client.decr("none")).toBeUndefined();
    expect(await client.deleteMulti(["none", "none2"])).toStrictEqual(
      new Map([
        ["none", false],
        ["none2", false],
      ]),
    );
    await client.set("there", 1);
    expect(await client.add("there", 2)).toBe(false);
    expect(await client.get("there")).toBe(1);
    expect(await client.get("none")).toBeUndefined();
  });

  test("add, replace, delete and incr apply where they should", async () => {
    expect(await client.add("life", "a")).toBe(true);
    expect(await client.replace("life", "b")).toBe(true);
    expect(await client.get("life")).toBe("b");
    expect(await client.delete("life")).toBe(true);
    expect(await client.get("life")).toBeUndefined();
    expect(await client.add("life", 10)).toBe(true);
    expect(await client.incr("life")).toBe(11);
    expect(await client.incr("life", 5)).toBe(16);
    expect(await client.decr("life", 7n)).toBe(9);
    expect(await client.get("life")).toBe(9);
    expect(await client.decr("life", 100)).toBe(0);
    expect(await client.incr("life", 0)).toBe(0);
  });

  test("cas stores once per token", async () => {
    await client.set("cas", { n: 1 });
    const { value, cas } = (await client.gets<{ n: number }>("cas"))!;
    expect(await client.cas("cas", { n: value.n + 1 }, cas)).toBe(true);
    expect(await client.cas("cas", { n: 99 }, cas)).toBe(false);
    expect(await client.get("cas")).toStrictEqual({ n: 2 });
    const again = (await client.gets("cas"))!.cas;
    await client.touch("cas", 100);
    expect(await client.cas("cas", "after a touch", again)).toBe(true);
    const last = (await client.gets("cas"))!.cas;
    await client.delete("cas");
    expect(await client.cas("cas", "back from the dead", last)).toBe(false);
    expect(await client.get("cas")).toBeUndefined();
    expect(await codeOf(client.cas("cas", 1, undefined as never))).toBe("INVALID_OPTION");
  });

  test("setMulti takes an object, a Map and any iterable; getMulti and deleteMulti take any iterable", async () => {
    expect(await client.setMulti({ "m:1": 1, "m:2": "two" })).toBe(true);
    expect(await client.setMulti(new Map([["m:3", 3]]), { ttl: 60 })).toBe(true);
    function* entries(): Iterable<readonly [string, unknown]> {
      yield ["m:4", 4];
      yield ["m:4", 5]; // the later one counts
    }
    expect(await client.setMulti(entries())).toBe(true);
    expect(await client.setMulti([])).toBe(true);
    const found = await client.getMulti(new Set(["m:1", "m:2", "m:3", "m:4", "m:5", "m:1"]));
    expect([...found]).toStrictEqual([
      ["m:1", 1],
      ["m:2", "two"],
      ["m:3", 3],
      ["m:4", 5],
    ]);
    expect((await item("m:3"))?.ttl).toBeGreaterThan(50);
    expect(await client.deleteMulti(["m:1", "m:5", "m:1"])).toStrictEqual(
      new Map([
        ["m:1", true],
        ["m:5", false],
      ]),
    );
    expect(await client.getMulti([])).toStrictEqual(new Map());
  });

  test("a multi form over many keys and all servers", async () => {
    const entries = Array.from({ length: 1_000 }, (_value, i) => [`many:${i}`, { i }] as const);
    await client.setMulti(entries);
    const found = await client.getMulti(entries.map(([key]) => key));
    expect(found).toStrictEqual(new Map(entries));
    expect(new Set(entries.map(([key]) => client.locate(key).node)).size).toBe(3);
    const deleted = await client.deleteMulti(entries.slice(0, 500).map(([key]) => key));
    expect([...deleted.values()].every(Boolean)).toBe(true);
    expect((await client.getMulti(entries.map(([key]) => key))).size).toBe(500);
  });

  test("names of Object.prototype are keys like any other", async () => {
    const values = new Map(PROTOTYPE_NAMES.map((name, i) => [name, `value ${i}`]));
    expect(await client.getMulti(PROTOTYPE_NAMES)).toStrictEqual(new Map());
    await client.setMulti(values);
    expect(await client.getMulti(PROTOTYPE_NAMES)).toStrictEqual(values);
    for (const [name, value] of values) {
      expect(await client.get(name)).toBe(value);
      expect(await client.delete(name)).toBe(true);
      expect(await client.get(name)).toBeUndefined();
      expect(await client.add(name, 1)).toBe(true);
      expect(await client.incr(name)).toBe(2);
    }
    const own = JSON.parse('{"__proto__": "own", "constructor": 7}') as Record<string, unknown>;
    await client.setMulti(own);
    expect(await client.get("__proto__")).toBe("own");
    expect(await client.get("constructor")).toBe(7);
    expect(Object.keys(Object.prototype)).toStrictEqual([]);
    expect(({} as Record<string, unknown>).own).toBeUndefined();
  });

  describe("TTL", () => {
    const remaining = async (key: string) => (await item(key))?.ttl;

    test("none and 0 never expire", async () => {
      await client.set("ttl:none", 1);
      await client.set("ttl:zero", 1, { ttl: 0 });
      expect(await remaining("ttl:none")).toBe(-1);
      expect(await remaining("ttl:zero")).toBe(-1);
    });

    test.each([1_000, 2_592_000, 2_592_001, 31_536_000])("%i seconds are what the server has", async (ttl) => {
      const near = (actual: number | undefined) => {
        expect(actual).toBeGreaterThan(ttl - 30);
        expect(actual).toBeLessThanOrEqual(ttl + 1);
      };
      const key = `ttl:${ttl}`;
      await client.set(key, 1, { ttl });
      near(await remaining(key));
      await client.set(key, 1);
      expect(await client.touch(key, ttl)).toBe(true);
      near(await remaining(key));
      await client.replace(key, 2);
      await client.replace(key, 2, { ttl });
      near(await remaining(key));
      await client.cas(key, 3, (await client.gets(key))!.cas, { ttl });
      near(await remaining(key));
      await client.delete(key);
      await client.add(key, 4, { ttl });
      near(await remaining(key));
      await client.touch(key, 0);
      expect(await remaining(key)).toBe(-1);
    });

    test("a fraction is rounded up, and the value is gone when its time is up", async () => {
      await client.set("ttl:short", 1, { ttl: 0.2 });
      expect((await remaining("ttl:short")) ?? 0).toBeLessThanOrEqual(1); // a second of memcached's may end at once
      for (let i = 0; i < 100 && (await client.get("ttl:short")) !== undefined; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(await client.get("ttl:short")).toBeUndefined();
    });

    test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, "5" as never])(
      "%s is INVALID_TTL and nothing is written",
      async (ttl) => {
        await client.set("ttl:bad", "old");
        expect(await codeOf(client.set("ttl:bad", "new", { ttl }))).toBe("INVALID_TTL");
        expect(await codeOf(client.setMulti({ "ttl:bad": "new" }, { ttl }))).toBe("INVALID_TTL");
        expect(await codeOf(client.touch("ttl:bad", ttl))).toBe("INVALID_TTL");
        expect(await client.get("ttl:bad")).toBe("old");
      },
    );
  });

  describe("refusals", () => {
    test.each([undefined, () => 1, Symbol("s"), Number.NaN, Number.NEGATIVE_INFINITY])(
      "a value nobody can store is INVALID_VALUE: %s",
      async (value) => {
        await client.set("unstorable", "old");
        expect(await codeOf(client.set("unstorable", value))).toBe("INVALID_VALUE");
        expect(await client.get("unstorable")).toBe("old");
      },
    );

    test("a circular value is INVALID_VALUE", async () => {
      const circle: { self?: unknown } = {};
      circle.self = circle;
      expect(await codeOf(client.set("circle", circle))).toBe("INVALID_VALUE");
    });

    test("what is not a number is NOT_NUMERIC and stays", async () => {
      for (const value of ["words", { n: 1 }, -3, 1.5, ""]) {
        await client.set("words", value);
        expect(await codeOf(client.incr("words"))).toBe("NOT_NUMERIC");
        expect(await codeOf(client.decr("words"))).toBe("NOT_NUMERIC");
        expect(await client.get("words")).toStrictEqual(value);
      }
    });

    test.each([-1, 1.5, Number.NaN, 2 ** 60, -1n, 2n ** 64n])("a delta of %s is INVALID_OPTION", async (delta) => {
      await client.set("delta", 1);
      expect(await codeOf(client.incr("delta", delta))).toBe("INVALID_OPTION");
      expect(await client.get("delta")).toBe(1);
    });

    test("one entry that cannot be stored keeps setMulti from sending any", async () => {
      await client.set("all-or-none", "old");
      expect(await codeOf(client.setMulti({ "all-or-none": "new", "bad key": 1 }))).toBe("INVALID_KEY");
      expect(await codeOf(client.setMulti({ "all-or-none": "new", bad: undefined }))).toBe("INVALID_VALUE");
      expect(await client.get("all-or-none")).toBe("old");
    });
  });

  test("after quit every command rejects with CLOSED", async () => {
    const closed = await open();
    const token = (await closed.set("closed", 1)) && (await closed.gets("closed"))!.cas;
    await closed.quit();
    await closed.quit();
    const calls = [
      closed.get("closed"),
      closed.gets("closed"),
      closed.getMulti(["closed"]),
      closed.set("closed", 1),
      closed.setMulti({ closed: 1 }),
      closed.add("closed", 1),
      closed.replace("closed", 1),
      closed.cas("closed", 1, token),
      closed.delete("closed"),
      closed.deleteMulti(["closed"]),
      closed.incr("closed"),
      closed.decr("closed"),
      closed.touch("closed", 1),
    ];
    expect(await Promise.all(calls.map(codeOf))).toStrictEqual(calls.map(() => "CLOSED"));
  });
});
