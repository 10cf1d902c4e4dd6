/** The short ways of the client (direct.ts, get-many.ts, storing.ts) against the plain ones: the same answers, whatever the server does. */
import { describe, expect, test } from "vitest";
import { type Client, type ClientOptions, createClient, isRingshiftError } from "../../src/index.ts";
import { PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { answerEmpty, type Script, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { audit } from "../support/audit.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench();

const VALUES: readonly unknown[] = [
  "text",
  "",
  "ключ 🔑",
  "x".repeat(5_000),
  "é".repeat(2_000),
  "line\r\nbreaks\r\nEN\r\n",
  { a: [1, null, "ü"] },
  [],
  null,
  true,
  0,
  -1.5,
  12345678901234567890n,
  Buffer.from([0, 255, 13, 10]),
  Buffer.alloc(0),
  Buffer.alloc(3_000, 7),
];

/** The same by single gets. */
async function singly(client: Client, keys: readonly string[]): Promise<Map<string, unknown>> {
  const values = await Promise.all(keys.map((key) => client.get(key)));
  return new Map(keys.flatMap((key, i) => (values[i] === undefined ? [] : [[key, values[i]] as const])));
}

describe("getMulti", () => {
  test("answers what single gets answer: every kind of value, misses, doubles, more keys than an exchange has", async () => {
    const client = await bench.cluster().client();
    const keys = Array.from({ length: 500 }, (_, i) => `many:${i}`);
    for (const [i, key] of keys.entries()) if (i % 5 !== 0) await client.set(key, VALUES[i % VALUES.length]);
    const found = await client.getMulti([...keys, ...keys.slice(0, 50)]);
    expect(found).toStrictEqual(await singly(client, keys));
    expect([...found.keys()]).toStrictEqual(keys.filter((_, i) => i % 5 !== 0));
    expect(await client.getMulti(keys, { signal: new AbortController().signal })).toStrictEqual(found);
    expect(await client.getMulti([])).toStrictEqual(new Map());
  });

  test("names the keys that are refused, and answers the others", async () => {
    const client = await bench.cluster().client();
    await client.set("good", 1);
    const failed = new Map();
    expect(await client.getMulti(["good", "bad key", "", "none"], { failed })).toStrictEqual(new Map([["good", 1]]));
    expect([...failed.keys()]).toStrictEqual(["bad key", ""]);
    await expect(client.getMulti(["good", "bad key"])).rejects.toMatchObject({ code: "INVALID_KEY", key: "bad key" });
  });

  test("keeps its place among calls on the same keys that are not awaited", async () => {
    const client = await bench.cluster().client();
    const keys = Array.from({ length: 100 }, (_, i) => `place:${i}`);
    for (let round = 0; round < 3; round++) {
      const calls = [];
      for (const key of keys) calls.push(client.set(key, `before ${round}`));
      const first = client.getMulti(keys);
      for (const key of keys) calls.push(client.set(key, `after ${round}`));
      const second = client.getMulti(keys);
      expect(new Set((await first).values())).toStrictEqual(new Set([`before ${round}`]));
      expect(new Set((await second).values())).toStrictEqual(new Set([`after ${round}`]));
      await Promise.all(calls);
    }
  });

  test("counts hits and misses as single gets do, and tells listeners", async () => {
    const client = await bench.cluster().client();
    await client.set("there", 1);
    const seen: string[] = [];
    client.on("hit", ({ key }) => seen.push(`hit ${key}`)).on("miss", ({ key }) => seen.push(`miss ${key}`));
    await new Promise((resolve) => setImmediate(resolve));
    const before = client.metrics();
    await client.getMulti(["there", "nowhere"]);
    expect(seen.sort()).toStrictEqual(["hit there", "miss nowhere"]);
    expect(client.metrics()).toMatchObject({ hits: before.hits + 1, misses: before.misses + 1 });
  });

  test("rejects with CLOSED after quit", async () => {
    const client = await bench.cluster().client();
    await client.quit();
    await expect(client.getMulti(["a", "b"])).rejects.toMatchObject({ code: "CLOSED" });
  });
});

describe("a server that misbehaves", () => {
  async function withServer(script: Script, options: Partial<ClientOptions>, use: (client: Client) => Promise<void>) {
    const server = await ScriptedServer.listen(script);
    const client = await createClient({ servers: [server.address], downAfter: 1000, timeoutMs: 20_000, ...options });
    try {
      await use(client);
    } finally {
      await client.quit();
      await server.close();
    }
  }

  test("a connection that breaks in the middle of the answers: read again over the next one", async () => {
    let broken = 0;
    const script: Script = (request) => {
      if (!request.line.startsWith("mg k")) return answerEmpty(request);
      if (request.line.startsWith("mg k:3 ") && broken++ === 0) return [{ reset: true }];
      return [{ send: "VA 2 f0\r\nok\r\n" }];
    };
    await withServer(script, {}, async (client) => {
      const keys = Array.from({ length: 10 }, (_, i) => `k:${i}`);
      expect(await client.getMulti(keys)).toStrictEqual(new Map(keys.map((key) => [key, "ok"])));
    });
    expect(broken).toBeGreaterThan(1);
  });

  test("what no flags explain is an error of its key alone", async () => {
    const script: Script = (request) => {
      if (request.line.startsWith("mg k:bad ")) return [{ send: "VA 3 f2\r\n{{{\r\n" }];
      return request.line.startsWith("mg k") ? [{ send: "VA 2 f2\r\n42\r\n" }] : answerEmpty(request);
    };
    await withServer(script, {}, async (client) => {
      const failed = new Map();
      expect(await client.getMulti(["k:1", "k:bad", "k:2"], { failed })).toStrictEqual(
        new Map([
          ["k:1", 42],
          ["k:2", 42],
        ]),
      );
      expect([...failed.keys()]).toStrictEqual(["k:bad"]);
      expect(isRingshiftError(failed.get("k:bad"), "PROTOCOL_ERROR")).toBe(true);
      await expect(client.get("k:bad")).rejects.toMatchObject({ code: "PROTOCOL_ERROR" });
    });
  });

  test("an item with the placeholder's flags is a miss, and no text", async () => {
    const lease = "lease 0 somebody";
    const script: Script = (request) => {
      if (!request.line.startsWith("mg k")) return answerEmpty(request);
      return [{ send: `VA ${lease.length} f${PLACEHOLDER_FLAGS} c7\r\n${lease}\r\n` }];
    };
    await withServer(script, {}, async (client) => {
      expect(await client.getMulti(["k:1", "k:2"])).toStrictEqual(new Map());
      expect(await client.get("k:1")).toBeUndefined();
    });
  });

  test("one that does not answer: every key is named, or a miss where the client is told so", async () => {
    const script: Script = (request) => (request.line.startsWith("mg k") ? [{ hang: true }] : answerEmpty(request));
    const keys = ["k:1", "k:2", "k:3"];
    await withServer(script, { ioTimeoutMs: 50 }, async (client) => {
      const failed = new Map();
      expect(await client.getMulti(keys, { failed })).toStrictEqual(new Map());
      expect([...failed.keys()].sort()).toStrictEqual(keys);
    });
    await withServer(script, { ioTimeoutMs: 50, onNodeDown: "miss" }, async (client) => {
      expect(await client.getMulti(keys)).toStrictEqual(new Map());
      const failed = new Map();
      await client.getMulti(keys, { failed });
      expect(failed.size).toBe(keys.length);
    });
  });
});

describe("set of a new key", () => {
  test("is listed before it is sent, once, and reads as it was written", async () => {
    const cluster = bench.cluster();
    const client = await cluster.client();
    const keys = Array.from({ length: 400 }, (_, i) => `new:${i}`);
    await Promise.all(keys.map((key, i) => client.set(key, VALUES[i % VALUES.length])));
    const found = await client.getMulti(keys);
    for (const [i, key] of keys.entries()) expect(found.get(key)).toStrictEqual(VALUES[i % VALUES.length]);
    const { faults, count } = await audit(cluster);
    expect(faults).toStrictEqual([]);
    expect(count).toBeGreaterThanOrEqual(keys.length);
  });
});
