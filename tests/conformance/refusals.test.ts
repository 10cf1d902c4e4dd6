/** What servers with SASL refuse, and what is refused on their account, before anything changes. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/create.ts";
import { openAdmin } from "../../src/migration/admin.ts";
import { type RedisServer, startMemcached, startRedis } from "../../src/testing/local-cluster.ts";
import { endWays, WAYS } from "./ways.ts";

const sasl = WAYS.find((way) => way.name === "memjs with SASL")!;
let redis: RedisServer;
let secured: string;

beforeAll(async () => {
  redis = await startRedis();
  secured = await sasl.start();
});
afterAll(async () => {
  await endWays();
  await redis.stop();
});

describe("a server that speaks binary alone", () => {
  test("starts no cluster that is to change: META_REQUIRED, and Redis knows nothing", async () => {
    const options = { redis: redis.url, namespace: "alone", servers: [secured] };
    await expect(createClient({ ...options, ...sasl.options })).rejects.toMatchObject({ code: "META_REQUIRED" });
    const { servers: _, ...known } = options;
    await expect(createClient(known)).rejects.toMatchObject({ code: "NOT_INITIALISED" });
  });

  test("joins none: plan and change answer META_REQUIRED, and nothing has changed", async () => {
    const memcached = await startMemcached();
    const options = { redis: redis.url, namespace: "joins" };
    const cache = await createClient({ ...options, servers: [memcached.address] });
    const admin = await openAdmin(options);
    const before = await admin.topology();
    const change = { kind: "add-node", nodes: [{ address: secured }] } as const;
    await expect(admin.plan(change)).rejects.toMatchObject({ code: "META_REQUIRED", message: /binary/ });
    await expect(admin.apply(change)).rejects.toMatchObject({ code: "META_REQUIRED" });
    expect(await admin.topology()).toStrictEqual(before);
    await Promise.all([cache.quit(), admin.close()]);
    await memcached.stop();
  });
});

describe("credentials", () => {
  test("that are wrong: AUTH_FAILED, for reads, writes and statistics", async () => {
    const auth = { username: "ada", password: "wrong" };
    const cache = await createClient({ protocol: "binary", auth, servers: [secured] });
    await expect(cache.get("k")).rejects.toMatchObject({ code: "AUTH_FAILED", node: secured });
    await expect(cache.set("k", 1)).rejects.toMatchObject({ code: "AUTH_FAILED", node: secured });
    await expect(cache.stats()).rejects.toMatchObject({ code: "AUTH_FAILED" });
    await cache.quit();
  });

  test("that are missing: AUTH_FAILED, and no write was ambiguous", async () => {
    const cache = await createClient({ protocol: "binary", servers: [secured] });
    await expect(cache.set("k", 1)).rejects.toMatchObject({ code: "AUTH_FAILED", node: secured });
    expect(cache.metrics().ambiguousWrites).toBe(0);
    await cache.quit();
  });

  test("that nobody asks for do no harm", async () => {
    const memcached = await startMemcached();
    const cache = await createClient({ ...sasl.options, servers: [memcached.address] });
    expect(await cache.set("k", 1)).toBe(true);
    expect(await cache.get("k")).toBe(1);
    await cache.quit();
    await memcached.stop();
  });
});

test("a server of the other protocol is a server that does not answer", async () => {
  const text = await startMemcached({ args: ["-B", "ascii"] });
  const binary = await createClient({ protocol: "binary", servers: [text.address], connectTimeoutMs: 100 });
  await expect(binary.set("k", 1)).rejects.toMatchObject({ code: "NODE_DOWN", message: /binary/ });
  const meta = await createClient({ servers: [secured], timeoutMs: 30_000 });
  await expect(meta.get("k")).rejects.toMatchObject({ code: "NODE_DOWN" });
  await Promise.all([binary.quit(), meta.quit()]);
  await text.stop();
});

describe("options", () => {
  test.each([
    [{ protocol: "text" as never }, "protocol"],
    [{ protocol: "binary", tls: true } as const, "tls"],
    [{ protocol: "binary", onRejoin: "flush" } as const, "onRejoin"],
    [{ connections: 0 }, "connections"],
    [{ connections: 1.5 }, "connections"],
    [{ connections: 65 }, "connections"],
  ])("%j: INVALID_OPTION that names %s", async (options, name) => {
    const refused = createClient({ servers: ["127.0.0.1:1"], ...options });
    await expect(refused).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining(name) });
  });
});
