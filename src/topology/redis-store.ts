/** The topology store on Redis, by ioredis. One connection for commands, a second one for announcements. */
import { Redis, type RedisOptions } from "ioredis";
import { RingshiftError } from "../errors.ts";
import { parseDocument, type TopologyDocument } from "./document.ts";
import type { Namespace } from "./namespace.ts";
import { bytes, pack, split } from "./packed.ts";
import * as scripts from "./scripts.ts";
import {
  type Control,
  type IndexSet,
  type JournalEntry,
  type OperatorStore,
  type PointEntries,
  type Publication,
  REGISTRATION_MS,
  type Registration,
  type Settled,
  type Snapshot,
} from "./store.ts";

const SCAN_COUNT = 1_000;
/** Default time of one command: what a client waits before it goes on without Redis. */
const COMMAND_TIMEOUT_MS = 1_000;
/** Time of one command of an operator, who has no other way. */
export const OPERATOR_TIMEOUT_MS = 5_000;
/** Reconnections that an operator's command waits for: 1.5 s of pauses. */
const OPERATOR_RETRIES = 4;

export class RedisStore implements OperatorStore {
  readonly #redis: Redis;
  #subscriber: Redis | undefined;
  readonly #namespace: Namespace;
  readonly #url: string;

  /** What the connection failed with last: says more than ioredis' own errors of the commands that waited for it. */
  #lastError: Error | undefined;

  /**
   * @param url `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS
   * @param timeoutMs of one command, and of a connection
   */
  constructor(url: string, namespace: Namespace, timeoutMs = COMMAND_TIMEOUT_MS) {
    this.#namespace = namespace;
    this.#url = url;
    // an operator's command bears with a Redis that is just restarting
    const maxRetriesPerRequest = timeoutMs > COMMAND_TIMEOUT_MS ? OPERATOR_RETRIES : 1;
    this.#redis = connect(url, { commandTimeout: timeoutMs, maxRetriesPerRequest, connectTimeout: timeoutMs });
    this.#redis.on("error", (error: Error) => {
      this.#lastError = error;
    });
    this.#redis.on("ready", () => {
      this.#lastError = undefined;
    });
    for (const [name, lua] of Object.entries(COMMANDS)) this.#redis.defineCommand(name, { lua });
  }

  async read(): Promise<Snapshot> {
    const [doc, runId] = (await this.#run("rsRead", [this.#namespace.topology], [])) as [string | null, string];
    return { document: doc === null ? null : parseDocument(doc), runId };
  }

  async publish(expectedId: string | null, document: TopologyDocument, requiredRunId = ""): Promise<Publication> {
    const { topology, channel } = this.#namespace;
    const args = [expectedId ?? "", document.id, JSON.stringify(document), requiredRunId, channel];
    return (await this.#run("rsPublish", [topology], args)) as Publication;
  }

  async record(generation: number, entries: readonly PointEntries[]): Promise<string | null> {
    let id: string | null = null;
    for (const part of split(entries)) {
      id = (await this.#change("rsRecord", generation, part, [])) as string | null;
    }
    return id;
  }

  async removeEntries(documentId: string, generation: number, entries: readonly PointEntries[]): Promise<boolean> {
    for (const part of split(entries)) {
      if ((await this.#change("rsUnrecord", generation, part, [documentId])) !== 1) return false;
    }
    return true;
  }

  async heartbeat(registration: Registration, knownId: string | null) {
    const { topology, clients, acknowledged } = this.#namespace;
    const args = [registration.clientId, registration.acknowledged, REGISTRATION_MS, knownId ?? ""];
    const [doc, id, runId] = (await this.#run("rsHeartbeat", [topology, clients, acknowledged], args)) as [
      string | null,
      string | null,
      string,
    ];
    if (id === null) return { document: null, runId };
    return { document: doc === null ? undefined : parseDocument(doc), runId };
  }

  async unregister(clientId: string): Promise<void> {
    await this.#do((redis) => redis.zrem(this.#namespace.clients, clientId));
    await this.#do((redis) => redis.hdel(this.#namespace.acknowledged, clientId));
  }

  async unacknowledged(epoch: number): Promise<string[]> {
    const { clients, acknowledged } = this.#namespace;
    return (await this.#run("rsUnacknowledged", [clients, acknowledged], [epoch])) as string[];
  }

  async *entries(generation: number, point: number): AsyncIterable<string[]> {
    const name = this.#namespace.keysOf(generation, point);
    let cursor = "0";
    do {
      const { next, keys } = await this.#page(name, cursor);
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== "0");
  }

  async counts(generation: number, points: readonly number[]): Promise<number[]> {
    if (points.length === 0) return [];
    const counts: number[] = [];
    for (let from = 0; from < points.length; from += SCAN_COUNT) {
      const replies = await this.#do(async (redis) => {
        const pipeline = redis.pipeline();
        for (const point of points.slice(from, from + SCAN_COUNT)) {
          pipeline.scard(this.#namespace.keysOf(generation, point));
        }
        return pipeline.exec();
      });
      for (const [error, count] of replies ?? []) {
        if (error) throw this.#unreachable(error);
        counts.push(count as number);
      }
    }
    return counts;
  }

  /** Takes or renews the coordinator's lease for `ms`; answers who holds it now. */
  async lease(holder: string, ms: number): Promise<string> {
    return (await this.#run("rsLease", [this.#namespace.lease], [holder, ms])) as string;
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#run("rsRelease", [this.#namespace.lease], [holder]);
  }

  async leaseHolder(): Promise<string | null> {
    return this.#do((redis) => redis.get(this.#namespace.lease));
  }

  async readJournal(): Promise<JournalEntry | undefined> {
    const fields = await this.#do((redis) => redis.hgetall(this.#namespace.journal));
    if (fields.operation === undefined) return undefined;
    return {
      operation: fields.operation,
      command: fields.command ?? "",
      state: fields.state as JournalEntry["state"],
      moved: Number(fields.moved ?? 0),
      settled: fields.settled ? (JSON.parse(fields.settled) as Settled) : undefined,
    };
  }

  async writeJournal({ settled, ...fields }: JournalEntry): Promise<void> {
    const text = settled === undefined ? "" : JSON.stringify(settled);
    await this.#do((redis) => redis.hset(this.#namespace.journal, { ...fields, settled: text }));
  }

  /** Members are `operation:point`. */
  async copiedPoints(operation: string): Promise<Set<number>> {
    const members = await this.#do((redis) => redis.smembers(this.#namespace.copied));
    const own = members.filter((member) => member.startsWith(`${operation}:`));
    return new Set(own.map((member) => Number(member.slice(operation.length + 1))));
  }

  async addCopiedPoint(operation: string, point: number): Promise<void> {
    await this.#do((redis) => redis.sadd(this.#namespace.copied, `${operation}:${point}`));
  }

  async clearCopiedPoints(): Promise<void> {
    await this.#do((redis) => redis.del(this.#namespace.copied));
  }

  async readControl(): Promise<Control | undefined> {
    const text = await this.#do((redis) => redis.hget(this.#namespace.journal, "control"));
    return text === null ? undefined : (JSON.parse(text) as Control);
  }

  async writeControl(control: Control | undefined): Promise<void> {
    const { journal } = this.#namespace;
    if (control === undefined) await this.#do((redis) => redis.hdel(journal, "control"));
    else await this.#do((redis) => redis.hset(journal, "control", JSON.stringify(control)));
  }

  async *sets(): AsyncIterable<IndexSet[]> {
    const pattern = this.#namespace.keysOf(0, 0).replace(/0:0$/, "");
    let cursor = "0";
    do {
      const from = cursor;
      const [next, names] = await this.#do((redis) => redis.scan(from, "MATCH", `${pattern}*`, "COUNT", SCAN_COUNT));
      cursor = next;
      const sets = names.flatMap((name) => {
        const [generation, point] = name.slice(pattern.length).split(":").map(Number);
        return Number.isInteger(generation) && Number.isInteger(point)
          ? [{ generation: generation!, point: point! }]
          : [];
      });
      if (sets.length > 0) yield sets;
    } while (cursor !== "0");
  }

  async unlinkSets(sets: readonly IndexSet[]): Promise<void> {
    for (let from = 0; from < sets.length; from += SCAN_COUNT) {
      const part = sets.slice(from, from + SCAN_COUNT);
      const names = part.map((set) => this.#namespace.keysOf(set.generation, set.point));
      // without their counts: whoever wants them again has the sets that are left counted
      const counts = [...new Set(part.map((set) => this.#namespace.countsOf(set.generation)))];
      await this.#do((redis) => redis.unlink(...names, ...counts));
    }
  }

  async listed(entries: readonly (IndexSet & { readonly key: string })[]): Promise<boolean[]> {
    if (entries.length === 0) return [];
    const replies = await this.#do((redis) => {
      const pipeline = redis.pipeline();
      for (const { generation, point, key } of entries) {
        pipeline.sismember(this.#namespace.keysOf(generation, point), bytes(key));
      }
      return pipeline.exec();
    });
    return (replies ?? []).map(([error, found]) => {
      if (error) throw this.#unreachable(error);
      return found === 1;
    });
  }

  /** @throws RingshiftError REDIS_EVICTS when memory pressure could drop the topology or the index */
  async checkEviction(): Promise<void> {
    const memory = await this.#do((redis) => redis.info("memory"));
    const policy = /maxmemory_policy:(\S+)/.exec(memory)?.[1] ?? "noeviction";
    if (policy.startsWith("allkeys-")) {
      throw new RingshiftError(
        "REDIS_EVICTS",
        `Redis has maxmemory-policy ${policy}, which could drop the key index: run redis-cli CONFIG SET maxmemory-policy noeviction`,
      );
    }
  }

  /**
   * Calls back at every announcement of a document, and after every reconnection (one may have been missed). Does not wait for Redis:
   * announcements are for speed, and the poll finds what they miss.
   */
  subscribe(announced: () => void): void {
    const subscriber = connect(this.#url, { maxRetriesPerRequest: null });
    this.#subscriber = subscriber;
    subscriber.on("message", announced);
    subscriber.on("ready", announced);
    subscriber.subscribe(this.#namespace.channel).catch(() => {}); // ioredis subscribes again when it has reconnected
  }

  async close(): Promise<void> {
    this.#subscriber?.disconnect();
    this.#redis.disconnect();
  }

  #change(
    command: "rsRecord" | "rsUnrecord",
    generation: number,
    entries: readonly PointEntries[],
    args: readonly string[],
  ): Promise<unknown> {
    const names = [this.#namespace.topology, this.#namespace.countsOf(generation)];
    const packed = pack(entries, (point) => this.#namespace.keysOf(generation, point));
    return this.#run(command, names, [packed, ...args]);
  }

  async #page(name: string, cursor: string): Promise<{ next: string; keys: string[] }> {
    const [next, count, text] = (await this.#run("rsPageBuffer", [name], [cursor, SCAN_COUNT])) as [
      Buffer,
      number,
      Buffer,
    ];
    const keys = count === 0 ? [] : text.toString("latin1").split("\n");
    if (keys.length === count) return { next: next.toString("latin1"), keys };
    const [after, each] = await this.#do((redis) => redis.sscanBuffer(name, cursor, "COUNT", SCAN_COUNT));
    return { next: after.toString("latin1"), keys: each.map((key) => key.toString("latin1")) };
  }

  #run(
    command: keyof typeof COMMANDS | "rsPageBuffer",
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ) {
    return this.#do((redis) => {
      const call = (redis as unknown as Record<string, (...words: unknown[]) => Promise<unknown>>)[command]!;
      return call.call(redis, keys.length, ...keys, ...args);
    });
  }

  /** For what other files keep in the same Redis. @throws RingshiftError REDIS_UNREACHABLE */
  call<T>(call: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#do(call);
  }

  #do<T>(call: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#guard(call(this.#redis));
  }

  async #guard<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  #unreachable(cause: unknown): RingshiftError {
    const error = this.#lastError ?? cause;
    const why = error instanceof Error ? error.message || error.name : String(error);
    return new RingshiftError(
      "REDIS_UNREACHABLE",
      `Redis at ${printable(this.#url)} does not answer (${why}): is it running? Name another with --redis or RINGSHIFT_REDIS.`,
      { cause },
    );
  }
}

const COMMANDS = {
  rsRead: scripts.READ,
  rsPublish: scripts.PUBLISH,
  rsRecord: scripts.RECORD,
  rsUnrecord: scripts.UNRECORD,
  rsPage: scripts.PAGE,
  rsHeartbeat: scripts.HEARTBEAT,
  rsUnacknowledged: scripts.UNACKNOWLEDGED,
  rsLease: scripts.LEASE,
  rsRelease: scripts.RELEASE,
};

function connect(url: string, options: RedisOptions): Redis {
  const retryStrategy = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000);
  const redis = new Redis(url, { ...options, retryStrategy, replyMapping: "legacy" as const });
  redis.on("error", () => {}); // every call that fails rejects by itself; reconnecting is ioredis' business
  return redis;
}

/** The URL without its password, for messages. */
function printable(url: string): string {
  return url.replace(/\/\/([^@/]*)@/, "//");
}
