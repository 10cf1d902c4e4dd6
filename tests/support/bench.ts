/**
 * Servers for one file's tests, started once. Each test makes clusters of its own on them, in namespaces of their own, so that none sees
 * another's keys, fences or topology.
 */
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll } from "vitest";
import { type Admin, type Client, type ClientOptions, createClient, openAdmin } from "../../src/index.ts";
import { metadump } from "../../src/memcached/admin.ts";
import { metaGet } from "../../src/memcached/commands.ts";
import type { Command, Reply } from "../../src/memcached/exchange.ts";
import { Link } from "../../src/memcached/link.ts";
import { type ClusterOptions, LocalCluster } from "../../src/testing/index.ts";
import { type Namespace, namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";
import type { Where } from "./traffic.ts";

type Closing = () => Promise<unknown>;

/** The servers of a file, and all that its tests have open on them. */
export class Bench {
  #local: LocalCluster | undefined;
  #redis: Redis | undefined;
  readonly #links = new Map<string, Link>();
  #open: { readonly resource: object; readonly close: Closing }[] = [];

  async start(options: ClusterOptions): Promise<void> {
    this.#local = await LocalCluster.start(options);
    this.#redis = new Redis(this.#local.redis.url);
    this.#redis.on("error", () => {}); // tests stop Redis; what asks it then rejects by itself
  }

  async stop(): Promise<void> {
    await this.closeAll();
    await Promise.all([...this.#links.values()].map((link) => link.close()));
    this.#redis?.disconnect();
    await this.#local?.stop();
  }

  get local(): LocalCluster {
    return this.#local!;
  }

  /** For looking at what ringshift keeps in Redis. */
  get redis(): Redis {
    return this.#redis!;
  }

  /** Is closed after the test. */
  own<T extends { close: Closing } | { quit: Closing } | { stop: Closing }>(resource: T): T {
    const close = () => {
      if ("quit" in resource) return resource.quit();
      return "close" in resource ? resource.close() : resource.stop();
    };
    this.#open.push({ resource, close });
    return resource;
  }

  /** @param but stays open */
  async closeAll(but: readonly object[] = []): Promise<void> {
    const closing = this.#open.filter(({ resource }) => !but.includes(resource));
    this.#open = this.#open.filter(({ resource }) => but.includes(resource));
    await Promise.all(closing.map(({ close }) => close()));
  }

  /** A cluster on the first `servers` of the file's servers, or on those named, started by its first client. */
  cluster(servers: number | readonly string[] = 3, namespace = `t${randomBytes(4).toString("hex")}`): TestCluster {
    const addresses = typeof servers === "number" ? this.local.servers.slice(0, servers) : servers;
    return new TestCluster(this, addresses, namespace);
  }

  /** One command by a connection of the test's own; the key is in wire form. */
  async ask(address: string, command: Command): Promise<Reply> {
    let link = this.#links.get(address);
    if (link === undefined) {
      link = new Link({ name: address, address });
      this.#links.set(address, link);
    }
    const { replies } = await link.exchange([command]);
    return replies[0]!;
  }

  /** What a server holds under a wire key: value, flags, TTL, CAS; undefined when it holds nothing. */
  async item(address: string, wireKey: string): Promise<Reply | undefined> {
    const reply = await this.ask(address, metaGet(wireKey, "v t f c"));
    return reply.status === "EN" ? undefined : reply;
  }
}

/** One cluster of a test. */
export class TestCluster {
  readonly bench: Bench;
  readonly servers: readonly string[];
  readonly names: Namespace;

  constructor(bench: Bench, servers: readonly string[], namespace: string) {
    this.bench = bench;
    this.servers = servers;
    this.names = namespaceOf(namespace);
  }

  get redisUrl(): string {
    return this.bench.local.redis.url;
  }

  /** What `createClient` and `openAdmin` need to find this cluster, as plain data for a child process. */
  get where(): Where {
    return { redis: this.redisUrl, namespace: this.names.name, servers: this.servers };
  }

  async client(options: ClientOptions = {}): Promise<Client> {
    return this.bench.own(await createClient({ ...this.where, ...options }));
  }

  async admin(): Promise<Admin> {
    return this.bench.own(await openAdmin({ redis: this.redisUrl, namespace: this.names.name }));
  }

  store(): RedisStore {
    return this.bench.own(new RedisStore(this.redisUrl, this.names));
  }

  /** The topology document as Redis has it, byte for byte. */
  async documentText(): Promise<string | null> {
    return this.bench.redis.hget(this.names.topology, "doc");
  }

  /** Ids of the clients that are registered now. */
  async registered(): Promise<Set<string>> {
    return new Set(await this.bench.redis.zrange(this.names.clients, "0", "-1"));
  }

  /**
   * Ends the registrations of all but `these`. A killed or stopped process stays registered for 5 s, for which the end of a migration
   * waits; a test about something else does not.
   */
  async forgetAllBut(these: ReadonlySet<string>): Promise<void> {
    const others = [...(await this.registered())].filter((id) => !these.has(id));
    if (others.length > 0) await this.bench.redis.zrem(this.names.clients, others);
  }

  /** The wire form of a key of this cluster. */
  wire(key: string): string {
    return Buffer.from(this.names.keyPrefix + key, "utf8").toString("latin1");
  }

  /** This cluster's wire keys on a server; ringshift's own items are not among them. */
  async keysOn(address: string): Promise<Set<string>> {
    const keys = new Set<string>();
    for await (const key of metadump(address)) if (key.startsWith(this.names.keyPrefix)) keys.add(key);
    return keys;
  }
}

/** Starts the servers before the file's tests; after each test what it has opened is closed. */
export function useBench(options: ClusterOptions = {}): Bench {
  const bench = new Bench();
  beforeAll(() => bench.start(options));
  afterEach(() => bench.closeAll());
  afterAll(() => bench.stop());
  return bench;
}

/** The code of the RingshiftError that a promise rejects with; anything else is thrown. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  const outcome = await promise.then(
    (value) => new Error(`it resolved with ${String(value)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof Error && "code" in outcome) return String(outcome.code);
  throw outcome;
}

/** Waits for a condition; the bound turns a hang into a message. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  for (const deadline = performance.now() + withinMs; !(await condition()); ) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
