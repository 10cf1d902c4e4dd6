/** A cluster of real servers with a client, an operator and some keys, for tests that break a part of it. */
import { afterEach, vi } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create.ts";
import type { ClientOptions } from "../../src/client/options.ts";
import { type OpenSession, openManaged } from "../../src/client/session.ts";
import { isRingshiftError } from "../../src/errors.ts";
import { type Admin, openAdmin } from "../../src/migration/admin.ts";
import { initCluster } from "../../src/migration/init-cluster.ts";
import type { Progress } from "../../src/migration/progress.ts";
import type { RingCompat } from "../../src/ring/index.ts";
import { type ClusterOptions, LocalCluster, type MemcachedServer } from "../../src/testing/local-cluster.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";

/**
 * A second is the default for an answer. These tests break servers in other ways than by slowness, and the machine that they run on may be so
 * busy that a healthy server is without the processor for seconds.
 */
const PATIENCE = { timeoutMs: 20_000, ioTimeoutMs: 3_000, connectTimeoutMs: 3_000 };

// only there to end a test that hangs
vi.setConfig({ testTimeout: 180_000 });

type Cleanup = () => Promise<unknown>;
const cleanups: Cleanup[] = [];

/** What a test opens is closed after it, the last first. */
export function onEnd(cleanup: Cleanup): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export class Bench {
  readonly cluster: LocalCluster;
  readonly client: Client;
  readonly admin: Admin;
  readonly expected = new Map<string, string>();

  constructor(cluster: LocalCluster, client: Client, admin: Admin) {
    this.cluster = cluster;
    this.client = client;
    this.admin = admin;
  }

  get servers(): readonly MemcachedServer[] {
    return this.cluster.memcached;
  }

  /** Writes keys `prefix:0` to `prefix:count-1` and remembers them. */
  async fill(count: number, prefix = "key", size = 0): Promise<void> {
    const entries = Array.from({ length: count }, (_, i): [string, string] => {
      return [`${prefix}:${i}`, `${prefix} value ${i} ${"x".repeat(size)}`];
    });
    for (const [key, value] of entries) this.expected.set(key, value);
    await this.client.setMulti(entries);
  }

  /** The keys of which a client reads something else than was written last. */
  async wrong(client: Client = this.client): Promise<string[]> {
    const found = await client.getMulti<string>(this.expected.keys());
    return [...this.expected].filter(([key, value]) => found.get(key) !== value).map(([key]) => key);
  }

  async open(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await patiently(() => createClient({ redis: this.cluster.redis.url, ...PATIENCE, ...options }));
    onEnd(() => client.quit());
    return client;
  }

  async operator(): Promise<Admin> {
    const admin = await patiently(() => openOperator(this.cluster));
    onEnd(() => admin.close());
    return admin;
  }

  /** A session of its own, for what neither a client nor an operator would do. */
  async session(): Promise<OpenSession> {
    const open = await patiently(() =>
      openManaged({ ...PATIENCE, redis: this.cluster.redis.url, namespace: namespaceOf(undefined) }),
    );
    onEnd(() => open.close());
    return open;
  }

  server(name: string): MemcachedServer {
    return this.servers.find((server) => server.address === name)!;
  }

  /** Expected keys that live on a node now. */
  keysOn(name: string): string[] {
    return [...this.expected.keys()].filter((key) => this.client.locate(key).node === name);
  }
}

/** Servers, a client that has started the cluster, and an operator. */
export async function bench(options: ClusterOptions = {}): Promise<Bench> {
  const cluster = await LocalCluster.start(options);
  onEnd(() => cluster.stop());
  const client = await patiently(() =>
    createClient({ redis: cluster.redis.url, servers: cluster.servers, ...PATIENCE }),
  );
  onEnd(() => client.quit());
  const admin = await patiently(() => openOperator(cluster));
  onEnd(() => admin.close());
  return new Bench(cluster, client, admin);
}

/** As `bench`, in the ring of another client, with servers of these weights. */
export async function compatBench(compat: RingCompat, weights: readonly number[]): Promise<Bench> {
  const cluster = await LocalCluster.start({ memcached: weights.length });
  onEnd(() => cluster.stop());
  const { url: redis } = cluster.redis;
  const nodes = cluster.servers.map((address, i) => ({ address, weight: weights[i]! }));
  await patiently(() => initCluster(nodes, { redis, compat }));
  const client = await patiently(() => createClient({ redis, ...PATIENCE }));
  onEnd(() => client.quit());
  const admin = await patiently(() => openOperator(cluster));
  onEnd(() => admin.close());
  return new Bench(cluster, client, admin);
}

function openOperator({ redis }: LocalCluster): Promise<Admin> {
  return openAdmin({ redis: redis.url, ioTimeoutMs: PATIENCE.ioTimeoutMs });
}

/** Opens it, again and again while Redis, which runs, has no processor to answer in time. */
async function patiently<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    }
  }
}

/** Resolves when the condition holds; the test's own timeout ends it otherwise. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A server that joins later: with options of its own, stopped at the end. */
export async function addServer(start: () => Promise<MemcachedServer>): Promise<MemcachedServer> {
  const server = await start();
  onEnd(() => server.stop());
  return server;
}

/** Rejects with this from `onProgress` to end a change at a step, as if its process had died there. */
export class Died extends Error {}

export function dieAt(step: string, after = 0): (progress: { readonly step: string }) => void {
  let left = after;
  return (progress) => {
    if (progress.step === step && left-- === 0) throw new Died(`died at ${step}`);
  };
}

/** The process ends when its copier has moved so many keys. */
export function dieOnceMoved(keys: number): (progress: Progress) => void {
  return (progress) => {
    if (progress.step === "copied" && progress.moved >= keys) throw new Died(`died with ${progress.moved} keys moved`);
  };
}
