/**
 * Real servers as child processes on free loopback ports, for tests and demonstrations. They never outlive the program:
 *
 *     parent ──pipe (fd 3)──▶ sh: watchdog    reads; at the end of the pipe: kill -9 server, rm -rf its folder
 *        └───────spawn──────▶ sh, exec'ed into the server: the child's pid is the server's
 *
 * One shell forks the watchdog and becomes the server, so there is no moment with a server and no watchdog. The pipe ends however the
 * parent ends: exit, an uncaught error, a signal, kill -9. That is why there are no exit and signal handlers here.
 * When the server has ended, a line in the pipe releases the watchdog, since the pid may be another process' by then.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { requireBinary } from "./binaries.ts";

const HOST = "127.0.0.1";
/** Below the ports that systems give to outgoing connections, one of which could take a stopped server's port before its restart. */
const PORT_RANGE = [20_000, 30_000] as const;
const PORT_ATTEMPTS = 20;
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 5_000;
const PROBE_TIMEOUT_MS = 1_000;
const PROBE_INTERVAL_MS = 10;
/** How much of a server's output is kept for error messages, in characters. */
const OUTPUT_LIMIT = 4_096;
/** The signals after which a server is gone; others (SIGSTOP, SIGCONT, SIGUSR1) leave it there. */
const DEADLY: ReadonlySet<NodeJS.Signals> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGSEGV"]);

/** The answers of a server that wants a password first (Redis, memcached -Y), or of one that speaks the binary protocol. */
const KEEPS_ITS_PID = /^(-NOAUTH|CLIENT_ERROR unauthenticated|\x81)/;

const LAUNCHER = `
server=$$; folder=$1; shift
{ read -r released || { kill -9 "$server"; [ -z "$folder" ] || rm -rf "$folder"; }; } <&3 >/dev/null 2>&1 &
exec "$@" 3<&-
`;

/** A server process. It keeps its port over a restart, and does not keep the program running. */
export interface LocalServer {
  readonly port: number;
  /** The server's own process, another one after each restart. */
  readonly pid: number;
  /** Ends it and deletes what it stored. Resolves when it is gone; stopping twice is fine. */
  stop(): Promise<void>;
  /** Sends a signal (SIGKILL by default) and, where that ends the server, resolves when it is gone. `restart()` brings it back. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the server if it runs and starts it on the same port. Only a Redis with `appendOnly` has its data again. */
  restart(): Promise<void>;
}

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
  return await new Server({
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
  return await new Server({
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

interface Launch {
  readonly command: readonly string[];
  readonly portFlag: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Deleted with the server; empty for none. */
  readonly folder: string;
  /** Ends with the command after which the server closes. The pid in its answer tells it from a stranger that was first on the port. */
  readonly question: string;
  readonly pidInAnswer: RegExp;
}

class Server implements MemcachedServer, RedisServer {
  readonly #launch: Launch;
  #port = 0;
  #pid = 0;
  /** Undefined while no process runs. */
  #child: ChildProcess | undefined;
  #output = "";

  constructor(launch: Launch) {
    this.#launch = launch;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#pid;
  }

  get address(): string {
    return `${HOST}:${this.#port}`;
  }

  get url(): string {
    return `redis://${this.address}`;
  }

  /** Without a port, tries ports until the server can bind one: a look for a free one beforehand would prove nothing. */
  async startOn(port: number | undefined): Promise<this> {
    for (let attempt = 1; ; attempt += 1) {
      this.#port = port ?? randomInt(...PORT_RANGE);
      try {
        await this.#start();
        return this;
      } catch (error) {
        const taken = /address already in use/i.test(this.#output);
        if (taken && port === undefined && attempt < PORT_ATTEMPTS) continue;
        this.#removeFolder();
        throw error;
      }
    }
  }

  async stop(): Promise<void> {
    await this.kill("SIGKILL"); // nothing to save, and memcached takes a second over SIGTERM
    this.#removeFolder();
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    child?.kill(signal);
    if (child !== undefined && DEADLY.has(signal)) await exit(child);
  }

  async restart(): Promise<void> {
    if (this.#launch.folder === "") await this.kill("SIGKILL");
    else await this.#saveAndExit();
    await this.#start();
  }

  async #start(): Promise<void> {
    const child = this.#spawn();
    await once(child, "spawn");
    this.#child = child;
    this.#pid = child.pid!;
    try {
      await this.#answer(child);
    } catch (error) {
      await this.kill("SIGKILL");
      throw error;
    }
    for (const handle of [child, ...child.stdio]) (handle as ChildProcess | Socket | null)?.unref();
  }

  #spawn(): ChildProcess {
    const { command, portFlag, args, env, folder } = this.#launch;
    const server = [...command, portFlag, String(this.#port), ...args];
    // detached: its own session, as Ctrl-C on a terminal is for the parent, which may need its servers a moment longer
    const child = spawn("/bin/sh", ["-c", LAUNCHER, "sh", folder, ...server], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, ...env },
    });
    this.#output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_LIMIT);
      });
    }
    const watchdog = child.stdio[3] as Socket;
    watchdog.on("error", () => {}); // gone already: nothing to release
    child.once("exit", () => {
      this.#child = undefined;
      watchdog.end("released\n");
    });
    return child;
  }

  /** Resolves when the server itself answers on the port. */
  async #answer(child: ChildProcess): Promise<void> {
    const program = this.#launch.command[0];
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve())); // all of its output is there
    for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline; await sleep(PROBE_INTERVAL_MS)) {
      const answer = await ask(this.#port, this.#launch.question);
      if (this.#child !== child) {
        await closed;
        throw new Error(`${program} ended while starting on port ${this.#port}:\n${this.#output.trim()}`);
      }
      if (answer === undefined || answer.includes("-LOADING")) continue;
      if (Number(this.#launch.pidInAnswer.exec(answer)?.[1]) === child.pid || KEEPS_ITS_PID.test(answer)) return;
    }
    throw new Error(
      `${program} does not answer on port ${this.#port} in ${START_TIMEOUT_MS} ms:\n${this.#output.trim()}`,
    );
  }

  async #saveAndExit(): Promise<void> {
    const late = setTimeout(() => this.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const exited = this.kill("SIGTERM");
    this.#child?.kill("SIGCONT"); // under SIGSTOP it would not see the other one
    await exited;
    clearTimeout(late);
  }

  #removeFolder(): void {
    if (this.#launch.folder !== "") rmSync(this.#launch.folder, { recursive: true, force: true });
  }
}

/** The whole answer up to the server's close, or undefined when nobody listens or answers in time. */
function ask(port: number, question: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer: string | undefined;
    const socket = connect(port, HOST, () => {
      answer = "";
      socket.write(question, "latin1");
    });
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      answer += text;
      if (KEEPS_ITS_PID.test(answer ?? "")) socket.destroy(); // it may not take our quit either
    });
    socket.setTimeout(PROBE_TIMEOUT_MS, () => {
      answer = undefined;
      socket.destroy();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => resolve(answer));
  });
}

/** Resolves at the end of a running process, and keeps the program alive until then. */
async function exit(child: ChildProcess): Promise<void> {
  child.ref();
  await once(child, "exit");
}
