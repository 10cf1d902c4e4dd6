/** One suite over every way to reach a server: TCP, IPv6, unix socket, TLS, authentication; in a managed cluster, over a change. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/create.ts";
import type { ServerAccess } from "../../src/memcached/access.ts";
import { version } from "../../src/memcached/admin.ts";
import { openAdmin } from "../../src/migration/admin.ts";
import { type RedisServer, startRedis } from "../../src/testing/local-cluster.ts";
import { freePort } from "../memcached/support.ts";

const CERTIFICATE = fileURLToPath(new URL("./tls/server.crt", import.meta.url));
const KEY = fileURLToPath(new URL("./tls/server.key", import.meta.url));
const AUTH = { username: "ada", password: "lovelace" };

const folder = mkdtempSync(join(tmpdir(), "ringshift-transports-"));
const children: ChildProcess[] = [];
let redis: RedisServer;

beforeAll(async () => {
  chmodSync(folder, 0o777); // memcached runs as nobody
  redis = await startRedis();
});

afterAll(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  await redis.stop();
  rmSync(folder, { recursive: true });
});

interface Way {
  readonly access: ServerAccess;
  /** A server's arguments, and its address. */
  server(): Promise<readonly [string[], string]>;
}

const tcp = async (...args: string[]): Promise<readonly [string[], string]> => {
  const port = await freePort();
  return [["-l", "127.0.0.1", "-p", String(port), ...args], `127.0.0.1:${port}`];
};

const WAYS: Record<string, Way> = {
  tcp: { access: {}, server: () => tcp() },
  ipv6: {
    access: {},
    server: async () => {
      const port = await freePort();
      return [["-l", "::1", "-p", String(port)], `[::1]:${port}`];
    },
  },
  unix: {
    access: {},
    server: async () => {
      const path = join(folder, `${children.length}.sock`);
      return [["-s", path, "-a", "0777"], `unix:${path}`];
    },
  },
  tls: {
    access: { tls: { ca: readFileSync(CERTIFICATE) } },
    server: () => tcp("-Z", "-o", `ssl_chain_cert=${CERTIFICATE},ssl_key=${KEY}`),
  },
  auth: {
    access: { auth: AUTH },
    server: () => {
      const file = join(folder, "users");
      writeFileSync(file, `${AUTH.username}:${AUTH.password}\n`);
      return tcp("-Y", file);
    },
  },
};

/** Starts a server and resolves with its address when it answers. */
async function start({ access, server }: Way): Promise<string> {
  const [args, address] = await server();
  const child = spawn("memcached", ["-u", "root", ...args], { stdio: "ignore" });
  children.push(child);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`memcached did not start: ${args.join(" ")}`);
    const answer = await version(address, { access }).catch(() => undefined);
    if (answer !== undefined) return address;
    await sleep(20);
  }
}

/** Containers often have no IPv6 at all, loopback included: nothing to test there then. */
const HAS_IPV6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some((one) => one.address === "::1"),
);

describe.each(Object.keys(WAYS).filter((name) => name !== "ipv6" || HAS_IPV6))("over %s", (name) => {
  const way = WAYS[name]!;
  const { access } = way;

  test("every command, before and after a server joins", async () => {
    const servers = [await start(way), await start(way)];
    const cache = await createClient({ ...access, redis: redis.url, namespace: name, servers });
    const admin = await openAdmin({ ...access, redis: redis.url, namespace: name });
    try {
      const keys = Array.from({ length: 300 }, (_, i) => `key:${i}`);
      await cache.setMulti(
        keys.map((key) => [key, `value of ${key}`] as const),
        { ttl: 1000 },
      );
      // every length around a TLS record's, alone and with others behind it
      const noise = Buffer.alloc(1_000_000, "x");
      const sizes = [15_900, 16_000, 16_100, 16_384, 32_768, 300_000, 1_000_000];
      await cache.setMulti(sizes.map((size) => [`big:${size}`, noise.subarray(0, size)] as const));
      const joining = await start(way);
      const report = await admin.apply({ kind: "add-node", nodes: [{ address: joining }] });
      expect(report.moved).toBeGreaterThan(30);
      const found = await cache.getMulti<string>(keys);
      expect(found.size).toBe(300);
      for (const [key, value] of found) expect(value).toBe(`value of ${key}`);
      for (const size of sizes)
        expect((await cache.get<Buffer>(`big:${size}`))!.equals(noise.subarray(0, size))).toBe(true);
      expect(await cache.append("key:1", "!")).toBe(true);
      expect(await cache.gat("key:1", 50)).toBe("value of key:1!");
      expect(await cache.incr("n", 1, { initial: 5 })).toBe(5);
      expect(await cache.getOrSet("l", 10, () => "loaded")).toBe("loaded");
      const seen = (await cache.gets("key:2"))!;
      expect(await cache.cas("key:2", "new", seen.cas)).toBe(true);
      expect(await cache.delete("key:2")).toBe(true);
      expect(Object.keys(await cache.version())).toHaveLength(3);
      expect(await cache.flush()).toBe(301 + sizes.length);
    } finally {
      await Promise.all([cache.quit(), admin.close()]);
    }
  });
});

test("a server that wants to know who we are refuses others", async () => {
  const address = await start(WAYS.auth!);
  const wrong = { username: "ada", password: "wrong" };
  const cache = await createClient({ servers: [address], auth: wrong });
  await expect(cache.get("k")).rejects.toMatchObject({ code: "AUTH_FAILED", node: address });
  await expect(cache.version()).rejects.toMatchObject({ code: "AUTH_FAILED" });
  await cache.quit();
});

test("a certificate that nobody vouches for is refused", async () => {
  const address = await start(WAYS.tls!);
  const cache = await createClient({ servers: [address], tls: true });
  await expect(cache.get("k")).rejects.toMatchObject({ code: "NODE_DOWN" });
  await cache.quit();
  const trusting = await createClient({ servers: [address], tls: { rejectUnauthorized: false } });
  expect(await trusting.set("k", 1)).toBe(true);
  await trusting.quit();
});

test.each([
  ["tls", { tls: 1 as never }],
  ["tls", { tls: { minVersion: "TLSv9" as never } }],
  ["tls", { tls: { cert: "garbage", key: "garbage" } }],
  ["tls", { tls: { ciphers: "NOPE" } }],
  ["auth", { auth: { username: "a b", password: "c" } }],
  ["auth", { auth: { username: "a" } as never }],
  ["auth", { auth: null as never }],
])("bad %s options are refused: %j", async (name, options) => {
  const refusal = { code: "INVALID_OPTION", message: expect.stringMatching(new RegExp(`^${name} `)) };
  await expect(createClient({ servers: ["127.0.0.1:1"], ...options })).rejects.toMatchObject(refusal);
  await expect(openAdmin({ redis: "redis://127.0.0.1:1", ...options })).rejects.toMatchObject(refusal);
});

test("options that only tls.connect itself refuses are a connection that fails", async () => {
  const cache = await createClient({ servers: ["127.0.0.1:1"], tls: { pskCallback: 5 as never } });
  await expect(cache.get("k")).rejects.toMatchObject({ code: "NODE_DOWN", message: /pskCallback/ });
  await expect(cache.version()).rejects.toMatchObject({ code: "NODE_DOWN", message: /pskCallback/ });
  await cache.quit();
});

test.each(["unix:relative", "unix:", `unix:/${"x".repeat(200)}`])("%s is no address", async (address) => {
  const cache = createClient({ servers: [address] });
  await expect(cache.then((one) => one.get("k"))).rejects.toMatchObject({ code: "NODE_ADDRESS" });
});
