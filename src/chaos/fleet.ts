/**
 * The servers of a run: memcached slots and a Redis with a replica, each behind a proxy, so that its address outlives it.
 *
 *     clients, operators ── proxy a ── memcached 1        slots are in the rings, or wait to be added
 *                        ── proxy b ── memcached 2 ...    some are small: they refuse (-M), evict (-m), or take small items only (-I)
 *                        ── proxies r ─ Redis ┄┄ replica  a fail-over promotes a replica that has been behind; each client has a proxy of its own
 */
import { type ChildProcess, fork } from "node:child_process";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import type { Random } from "../model/random.ts";
import { type MemcachedServer, type RedisServer, startMemcached, startRedis } from "../testing/index.ts";
import { killAtExit } from "../testing/kill-at-exit.ts";
import type { ProxyFault } from "./proxy.ts";
import type { Listening, ToProxies } from "./proxy-main.ts";

const PROXIES = fileURLToPath(new URL("./proxy-main.js", import.meta.url));
const HOST = "127.0.0.1";

/** How a slot is smaller than others. */
export type Limit = "none" | "refuses" | "evicts" | "smallItems";

const ARGUMENTS: Readonly<Record<Limit, { readonly memoryMb?: number; readonly args?: readonly string[] }>> = {
  none: {},
  refuses: { memoryMb: 2, args: ["-M"] },
  evicts: { memoryMb: 2 },
  smallItems: { args: ["-I", "16k", "-o", "slab_chunk_max=8"] },
};

export type Condition = "up" | "stopped" | "dead";

export interface Slot {
  readonly number: number;
  /** Its proxy's: what the rings know it by. */
  readonly address: string;
  readonly limit: Limit;
  readonly server: MemcachedServer;
  condition: Condition;
  /** Dead for good, until the operators have taken it out. */
  abandoned: boolean;
}

export class Fleet {
  readonly slots: readonly Slot[];
  /** The operators'. */
  readonly redisUrl: string;
  /** Of the clients, from number 1. */
  readonly clientRedisUrls: readonly string[];
  readonly #proxies: ChildProcess;
  #primary: RedisServer;
  #replica: RedisServer;

  private constructor(
    slots: readonly Slot[],
    redisUrls: readonly string[],
    proxies: ChildProcess,
    redis: readonly RedisServer[],
  ) {
    this.slots = slots;
    [this.redisUrl, ...this.clientRedisUrls] = redisUrls as [string, ...string[]];
    this.#proxies = proxies;
    [this.#primary, this.#replica] = redis as [RedisServer, RedisServer];
  }

  /** Leaves nothing running when a server does not start. */
  static async start(limits: readonly Limit[], clients: number, random: Random): Promise<Fleet> {
    const proxies = fork(PROXIES, { stdio: ["ignore", 2, 2, "ipc"], execArgv: [] });
    killAtExit(proxies);
    const starting = [startRedis(), startRedis(), ...limits.map((limit) => startMemcached(ARGUMENTS[limit]))];
    const started = await Promise.allSettled(starting);
    const failed = started.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      proxies.kill("SIGKILL");
      await Promise.all(started.map((result) => result.status === "fulfilled" && result.value.stop()));
      throw failed.reason;
    }
    const [primary, replica, ...servers] = (await Promise.all(starting)) as [
      RedisServer,
      RedisServer,
      ...MemcachedServer[],
    ];
    await follow(replica, primary);
    const address = async (id: string, target: number) => {
      tell(proxies, { type: "listen", id, target, seed: random.int(1, 2 ** 30) });
      return `${HOST}:${await listening(proxies, id)}`;
    };
    const slots: Slot[] = [];
    for (const [number, server] of servers.entries()) {
      const at = await address(`m${number}`, server.port);
      slots.push({ number, address: at, limit: limits[number]!, server, condition: "up", abandoned: false });
    }
    const redisUrls: string[] = [];
    for (let number = 0; number <= clients; number++) {
      redisUrls.push(`redis://${await address(redisProxy(number), primary.port)}`);
    }
    return new Fleet(slots, redisUrls, proxies, [primary, replica]);
  }

  /** The Redis of the moment, past its proxy. */
  get redis(): RedisServer {
    return this.#primary;
  }

  fault(id: string, kind: ProxyFault, ms: number, slowness?: number): void {
    tell(this.#proxies, { type: "fault", id, kind, ms, slowness });
  }

  /** On everybody's way to Redis, or on that of one client. @param slowness of a delay: `FaultyProxy.fault` */
  redisFault(kind: ProxyFault, ms: number, client?: number, slowness?: number): void {
    if (client !== undefined) this.fault(redisProxy(client), kind, ms, slowness);
    else for (const id of this.#redisProxies()) this.fault(id, kind, ms);
  }

  healProxies(): void {
    tell(this.#proxies, { type: "heal" });
  }

  /** The primary dies and comes back with nothing. */
  async restartRedisEmpty(): Promise<void> {
    await this.#replica.kill(); // it would come to know less than nothing
    await this.#primary.kill();
    await this.#primary.restart();
    await this.#replica.restart();
    await follow(this.#replica, this.#primary);
  }

  /** The replica, which stops hearing of the primary's writes `behindMs` before the primary's end, takes over. */
  async failOver(behindMs: number, sleep: (ms: number) => Promise<void>): Promise<void> {
    const [old, next] = [this.#primary, this.#replica];
    await say(next.port, "REPLICAOF NO ONE\r\n");
    await sleep(behindMs);
    await old.kill();
    for (const id of this.#redisProxies()) tell(this.#proxies, { type: "retarget", id, target: next.port });
    this.#primary = next;
    this.#replica = old;
    await old.restart();
    await follow(old, next);
  }

  /** Items of no ring, until the memory is full. */
  async fill(slot: Slot, bytes: number, random: Random): Promise<void> {
    const items: string[] = [];
    for (let sum = 0; sum < bytes; ) {
      const size = random.int(20, 400);
      sum += size + 60;
      items.push(`set ballast:${random.int(0, 1e9)} 0 0 ${size} noreply\r\n${"b".repeat(size)}\r\n`);
    }
    await say(slot.server.port, `${items.join("")}version\r\n`);
  }

  async flush(slot: Slot): Promise<void> {
    await say(slot.server.port, "flush_all\r\n");
  }

  /** Values that the server has thrown out so far; undefined when it does not answer. */
  async evictions(slot: Slot): Promise<number | undefined> {
    const text = await say(slot.server.port, "stats\r\n", /END\r\n$/).catch(() => "");
    const numbers = [...text.matchAll(/^STAT (?:evictions|slab_reassign_evictions_nomem) (\d+)/gm)];
    return numbers.length === 0 ? undefined : numbers.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** Everything runs and is reachable again. */
  async heal(): Promise<void> {
    this.healProxies();
    for (const slot of this.slots) {
      if (slot.condition === "stopped") await slot.server.kill("SIGCONT");
      if (slot.condition === "dead") await slot.server.restart();
      slot.condition = "up";
      slot.abandoned = false;
    }
    await this.#primary.kill("SIGCONT");
  }

  #redisProxies(): string[] {
    return [this.redisUrl, ...this.clientRedisUrls].map((_, number) => redisProxy(number));
  }

  async stop(): Promise<void> {
    this.#proxies.kill("SIGKILL");
    const servers = [...this.slots.map(({ server }) => server), this.#primary, this.#replica];
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** 0: the operators'. */
function redisProxy(client: number): string {
  return `redis${client}`;
}

async function follow(replica: RedisServer, primary: RedisServer): Promise<void> {
  await say(replica.port, `REPLICAOF ${HOST} ${primary.port}\r\n`);
}

function tell(proxies: ChildProcess, message: ToProxies): void {
  if (proxies.connected) proxies.send(message, () => {});
}

function listening(proxies: ChildProcess, id: string): Promise<number> {
  return new Promise((resolve) => {
    const hear = (message: Listening) => {
      if (message.id !== id) return;
      proxies.off("message", hear);
      resolve(message.port);
    };
    proxies.on("message", hear);
  });
}

const ANSWER_MS = 10_000;

/** Sends text to a server and resolves with its answer, or rejects when none comes. */
function say(port: number, text: string, end = /\r\n$/): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, HOST, () => socket.write(text));
    socket.setEncoding("latin1");
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`port ${port} does not answer`)));
    socket.on("data", (piece: string) => {
      answer += piece;
      if (!end.test(answer)) return;
      resolve(answer);
      socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error(`port ${port} closed`)));
  });
}
