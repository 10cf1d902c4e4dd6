/**
 * The clients of the benchmark behind one small interface. The peers are devDependencies, loaded only here. Each has its own defaults but for
 * longer timeouts, so that a busy machine makes nobody fail, and no log.
 */
import { createRequire } from "node:module";
import { openFloorCalls } from "./floor-calls.ts";
import { openRingshift, openUnfenced } from "./ringshift.ts";

const require = createRequire(import.meta.url);

export interface BenchClient {
  get(key: string): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
  getMany(keys: string[]): Promise<unknown>;
  close(): Promise<void>;
  /** False for a floor, which counts replies and hands none on. */
  readonly answersValues?: boolean;
}

export interface BenchTarget {
  readonly servers: readonly string[];
  readonly redis: string;
  readonly valueBytes: number;
}

export const TIMEOUT_MS = 30_000;

const CLIENTS: Readonly<Record<string, (target: BenchTarget) => Promise<BenchClient>>> = {
  ringshift: openRingshift,
  "ringshift-unfenced": openUnfenced,
  memjs,
  "memjs+hashring": memjsWithHashring,
  memcached,
  memcache,
  "memcache-client+hashring": memcacheClientWithHashring,
  "floor-calls": openFloorCalls,
};

export function connectClient(name: string, target: BenchTarget): Promise<BenchClient> {
  const open = CLIENTS[name];
  if (open === undefined) throw new Error(`no client is named ${name}`);
  return open(target);
}

export interface MemjsClient {
  get(key: string): Promise<{ value: Buffer | null; flags: Buffer | null }>;
  set(key: string, value: string | Buffer, options: object): Promise<boolean>;
  delete(key: string): Promise<boolean>;
  close(): void;
}

export function createMemjs(servers: string): MemjsClient {
  const { Client } = require("memjs") as { Client: { create(servers: string, options: object): MemjsClient } };
  return Client.create(servers, { retries: 0, timeout: TIMEOUT_MS / 1000, logger: { log: () => {} } });
}

export interface HashRingLike {
  get(key: string): string;
}

export function createHashring(servers: readonly string[]): HashRingLike {
  const HashRing = require("hashring") as new (servers: readonly string[]) => HashRingLike;
  return new HashRing(servers);
}

/** By itself it has modulo hashing. */
async function memjs({ servers }: BenchTarget): Promise<BenchClient> {
  const client = createMemjs(servers.join(","));
  return memjsClient(
    () => client,
    () => client.close(),
  );
}

/** One memjs client a server, hashring deciding which. */
async function memjsWithHashring({ servers }: BenchTarget): Promise<BenchClient> {
  const ring = createHashring(servers);
  const clients = new Map(servers.map((server) => [server, createMemjs(server)]));
  return memjsClient(
    (key) => clients.get(ring.get(key))!,
    () => {
      for (const client of clients.values()) client.close();
    },
  );
}

function memjsClient(of: (key: string) => MemjsClient, close: () => void): BenchClient {
  const get = async (key: string) => (await of(key).get(key)).value;
  return {
    get,
    set: (key, value) => of(key).set(key, value, { expires: 0 }),
    getMany: (keys) => Promise.all(keys.map(get)),
    close: async () => close(),
  };
}

async function memcached({ servers }: BenchTarget): Promise<BenchClient> {
  type Callback = (error: unknown, value: unknown) => void;
  interface Peer {
    get(key: string, done: Callback): void;
    getMulti(keys: string[], done: Callback): void;
    set(key: string, value: string, ttl: number, done: Callback): void;
    end(): void;
  }
  const Memcached = require("memcached") as new (servers: readonly string[], options: object) => Peer;
  const client = new Memcached([...servers], { timeout: TIMEOUT_MS });
  const call = (run: (done: Callback) => void) =>
    new Promise((resolve, reject) => run((error, value) => (error ? reject(error) : resolve(value))));
  return {
    get: (key) => call((done) => client.get(key, done)),
    set: (key, value) => call((done) => client.set(key, value, 0, done)),
    getMany: (keys) => call((done) => client.getMulti(keys, done)),
    close: async () => client.end(),
  };
}

async function memcache({ servers }: BenchTarget): Promise<BenchClient> {
  const { Memcache } = await import("memcache");
  const client = new Memcache({ nodes: [...servers], timeout: TIMEOUT_MS });
  await client.connect();
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    getMany: (keys) => client.gets(keys),
    close: async () => client.disconnect(),
  };
}

/** It takes one server only: one client a server, hashring deciding which. A multi get is one a server, all at once. */
async function memcacheClientWithHashring({ servers }: BenchTarget): Promise<BenchClient> {
  interface Peer {
    get(key: string): Promise<{ value: unknown } | undefined>;
    get(keys: string[]): Promise<Record<string, unknown>>;
    set(key: string, value: string): Promise<unknown>;
    shutdown(): void;
  }
  const { MemcacheClient } = require("memcache-client") as { MemcacheClient: new (options: object) => Peer };
  const clients = new Map(servers.map((server) => [server, new MemcacheClient({ server, cmdTimeout: TIMEOUT_MS })]));
  const ring = createHashring(servers);
  const of = (key: string) => clients.get(ring.get(key))!;
  const getMany = async (keys: string[]) => {
    const shares = new Map<Peer, string[]>();
    for (const key of keys) {
      const client = of(key);
      const share = shares.get(client);
      if (share === undefined) shares.set(client, [key]);
      else share.push(key);
    }
    return Object.assign({}, ...(await Promise.all([...shares].map(([client, share]) => client.get(share)))));
  };
  return {
    get: async (key) => (await of(key).get(key))?.value,
    set: (key, value) => of(key).set(key, value),
    getMany,
    close: async () => {
      for (const client of clients.values()) client.shutdown();
    },
  };
}
