/** The clients of the benchmark behind one small interface. The peers are devDependencies, loaded only here. */
import { createRequire } from "node:module";
import { createClient } from "../client/create.ts";

const require = createRequire(import.meta.url);

export interface BenchClient {
  get(key: string): Promise<unknown>;
  set(key: string, value: string): Promise<unknown>;
  getMany(keys: string[]): Promise<unknown>;
  close(): Promise<void>;
}

export interface BenchTarget {
  readonly servers: readonly string[];
  readonly redis: string;
}

export const CLIENT_NAMES = ["ringshift", "memjs+hashring", "memcached", "memcache", "memcache-client"] as const;
export type ClientName = (typeof CLIENT_NAMES)[number];

/** Connects a client with its own defaults; peers that log are silenced. */
export function connectClient(name: ClientName, target: BenchTarget): Promise<BenchClient> {
  return { ringshift, "memjs+hashring": memjs, memcached, memcache, "memcache-client": memcacheClient }[name](target);
}

async function ringshift({ servers, redis }: BenchTarget): Promise<BenchClient> {
  const client = await createClient({ redis, servers });
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    getMany: (keys) => client.getMulti(keys),
    close: () => client.quit(),
  };
}

interface MemjsClient {
  get(key: string): Promise<{ value: Buffer | null }>;
  set(key: string, value: string, options: object): Promise<boolean>;
  close(): void;
}

/** One memjs client a server, hashring deciding which: memjs by itself only has modulo hashing. */
async function memjs({ servers }: BenchTarget): Promise<BenchClient> {
  const { Client } = require("memjs") as { Client: { create(server: string, options: object): MemjsClient } };
  const HashRing = require("hashring") as new (servers: readonly string[]) => { get(key: string): string };
  const ring = new HashRing(servers);
  const quiet = { log: () => {} };
  const clients = new Map(servers.map((server) => [server, Client.create(server, { retries: 0, logger: quiet })]));
  const of = (key: string) => clients.get(ring.get(key))!;
  const get = async (key: string) => (await of(key).get(key)).value;
  return {
    get,
    set: (key, value) => of(key).set(key, value, { expires: 0 }),
    getMany: (keys) => Promise.all(keys.map(get)),
    close: async () => {
      for (const client of clients.values()) client.close();
    },
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
  const client = new Memcached([...servers], { poolSize: 10 });
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
  const client = new Memcache({ nodes: [...servers] });
  await client.connect();
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    getMany: (keys) => client.gets(keys),
    close: async () => client.disconnect(),
  };
}

/** It takes one server only, so it stands for the work of one connection. */
async function memcacheClient({ servers }: BenchTarget): Promise<BenchClient> {
  interface Peer {
    get(key: string | string[]): Promise<unknown>;
    set(key: string, value: string): Promise<unknown>;
    shutdown(): void;
  }
  const { MemcacheClient } = require("memcache-client") as { MemcacheClient: new (options: object) => Peer };
  const client = new MemcacheClient({ server: { server: servers[0], maxConnections: 3 } });
  return {
    get: (key) => client.get(key),
    set: (key, value) => client.set(key, value),
    getMany: (keys) => client.get(keys),
    close: async () => client.shutdown(),
  };
}
