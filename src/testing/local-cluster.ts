/**
 * Memcached and Redis servers on free loopback ports, for tests and demonstrations: one by one, or some of them together. How they are
 * started, and why none outlives the program: server-process.ts.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireBinary } from "./binaries.ts";
import { HOST, type LocalServer, ServerProcess } from "./server-process.ts";

export interface MemcachedServer extends LocalServer {
  /** `127.0.0.1:port` */
  readonly address: string;
}

export interface RedisServer extends LocalServer {
  /** `redis://127.0.0.1:port` */
  readonly url: string;
}

interface ServerOptions {
  /** More arguments for the server; they come last, so they win. */
  readonly args?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
  /** Besides this program's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface MemcachedOptions extends ServerOptions {
  /** Memory for items, in MiB. Default: memcached's own, 64. */
  readonly memoryMb?: number;
}

export interface RedisOptions extends ServerOptions {
  /** Keep an append-only file, which a restart reads. Default: false, nothing is written to disk. */
  readonly appendOnly?: boolean;
}

/**
 * Starts a memcached and resolves when it answers.
 * @throws Error with the server's output when it does not come up, or with what to install when there is none
 */
export async function startMemcached(options: MemcachedOptions = {}): Promise<MemcachedServer> {
  const { memoryMb = 64, args = [], port, env = {} } = options;
  // memcached refuses to run as root unless it is told a user
  const user = process.getuid?.() === 0 && !args.some((arg) => /^(-u|--user)/.test(arg)) ? ["-u", "nobody"] : [];
  return await new ServerProcess({
    command: [requireBinary("memcached"), "-l", HOST, "-m", String(memoryMb), ...user],
    portFlag: "-p",
    args,
    env,
    folder: "",
    question: speaksBinary(args) ? BINARY_QUIT : "stats\r\nquit\r\n",
    pidInAnswer: /^STAT pid (\d+)/m,
  }).startOn(port);
}

/** `-S` (SASL) and `-B binary` make a memcached that has no word for text commands. */
function speaksBinary(args: readonly string[]): boolean {
  return args.some((arg) => arg === "-S" || arg === "--enable-sasl" || arg === "binary" || arg === "--protocol=binary");
}

/** The 24-byte request header of the binary protocol with opcode 0x07, quit. */
const BINARY_QUIT = `\x80\x07${"\0".repeat(22)}`;

/**
 * Starts a Redis that evicts nothing and resolves when it answers. Its folder is temporary and deleted with it.
 * @throws Error with the server's output when it does not come up, or with what to install when there is none
 */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const { appendOnly = false, args = [], port, env = {} } = options;
  const binary = requireBinary("redis-server");
  const folder = mkdtempSync(join(tmpdir(), "ringshift-redis-"));
  const storage = ["--dir", folder, "--save", "", "--appendonly", appendOnly ? "yes" : "no"];
  return await new ServerProcess({
    command: [binary, "--bind", HOST, "--maxmemory-policy", "noeviction", ...storage],
    portFlag: "--port",
    args,
    env,
    folder,
    question: "PING\r\nINFO server\r\nQUIT\r\n",
    pidInAnswer: /^process_id:(\d+)/m,
  }).startOn(port);
}

export interface ClusterOptions {
  /** How many memcached servers. Default: 3. */
  readonly memcached?: number;
  /** For each of them, those of `addMemcached()` too. */
  readonly memcachedOptions?: Omit<MemcachedOptions, "port">;
  /** Default: true. */
  readonly redis?: boolean | RedisOptions;
}

/** Some memcached servers and a Redis. `start()` leaves nothing running when one of them fails. */
export class LocalCluster {
  readonly #memcached: MemcachedServer[] = [];
  readonly #memcachedOptions: MemcachedOptions;
  #redis: RedisServer | undefined;

  private constructor(memcachedOptions: MemcachedOptions) {
    this.#memcachedOptions = memcachedOptions;
  }

  static async start(options: ClusterOptions = {}): Promise<LocalCluster> {
    const { memcached = 3, memcachedOptions = {}, redis = true } = options;
    const cluster = new LocalCluster(memcachedOptions);
    const starting: Promise<unknown>[] = Array.from({ length: memcached }, () => cluster.addMemcached());
    if (redis !== false) starting.push(cluster.#startRedis(redis === true ? {} : redis));
    const failed = (await Promise.allSettled(starting)).find((result) => result.status === "rejected");
    if (failed === undefined) return cluster;
    await cluster.stop();
    throw failed.reason;
  }

  /** The memcached servers in the order of their start. */
  get memcached(): readonly MemcachedServer[] {
    return this.#memcached;
  }

  /** Their addresses, as `createClient({ servers })` takes them. */
  get servers(): string[] {
    return this.#memcached.map((server) => server.address);
  }

  /** @throws Error for a cluster without Redis */
  get redis(): RedisServer {
    if (this.#redis === undefined) throw new Error("This LocalCluster was started with redis: false.");
    return this.#redis;
  }

  async addMemcached(): Promise<MemcachedServer> {
    const server = await startMemcached(this.#memcachedOptions);
    this.#memcached.push(server);
    return server;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#memcached, this.#redis].map((server) => server?.stop()));
  }

  async #startRedis(options: RedisOptions): Promise<void> {
    this.#redis = await startRedis(options);
  }
}
