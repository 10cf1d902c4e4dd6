/**
 * The topology store on Redis: what is kept, and under which name (namespace.ts).
 *
 *   redis-store ──► keys, arguments, replies          of each call of TopologyStore, ChangeStore, OperatorStore
 *     ├─ index-pages.ts      what is read in pages
 *     └─ redis-connection.ts scripts (scripts.ts), commands, announcements; what fails is REDIS_UNREACHABLE
 */
import type { Redis } from "ioredis";
import { RingshiftError } from "../errors.ts";
import { parseDocument, type TopologyDocument } from "./document.ts";
import { keyPages, SCAN_COUNT, setPages } from "./index-pages.ts";
import type { Namespace } from "./namespace.ts";
import { bytes, pack, split } from "./packed.ts";
import { RedisConnection } from "./redis-connection.ts";
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

export class RedisStore implements OperatorStore {
  readonly #connection: RedisConnection;
  readonly #namespace: Namespace;

  /**
   * @param url `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS
   * @param timeoutMs of one command, and of a connection
   */
  constructor(url: string, namespace: Namespace, timeoutMs?: number) {
    this.#connection = new RedisConnection(url, timeoutMs);
    this.#namespace = namespace;
  }

  async read(): Promise<Snapshot> {
    const [doc, runId] = (await this.#connection.run("rsRead", [this.#namespace.topology], [])) as [
      string | null,
      string,
    ];
    return { document: doc === null ? null : parseDocument(doc), runId };
  }

  async publish(expectedId: string | null, document: TopologyDocument, requiredRunId = ""): Promise<Publication> {
    const { topology, channel } = this.#namespace;
    const args = [expectedId ?? "", document.id, JSON.stringify(document), requiredRunId, channel];
    return (await this.#connection.run("rsPublish", [topology], args)) as Publication;
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
    const [doc, id, runId] = (await this.#connection.run("rsHeartbeat", [topology, clients, acknowledged], args)) as [
      string | null,
      string | null,
      string,
    ];
    if (id === null) return { document: null, runId };
    return { document: doc === null ? undefined : parseDocument(doc), runId };
  }

  async unregister(clientId: string): Promise<void> {
    await this.#connection.call((redis) => redis.zrem(this.#namespace.clients, clientId));
    await this.#connection.call((redis) => redis.hdel(this.#namespace.acknowledged, clientId));
  }

  async unacknowledged(epoch: number): Promise<string[]> {
    const { clients, acknowledged } = this.#namespace;
    return (await this.#connection.run("rsUnacknowledged", [clients, acknowledged], [epoch])) as string[];
  }

  entries(generation: number, point: number): AsyncIterable<string[]> {
    return keyPages(this.#connection, this.#namespace.keysOf(generation, point));
  }

  async counts(generation: number, points: readonly number[]): Promise<number[]> {
    if (points.length === 0) return [];
    const counts: number[] = [];
    for (let from = 0; from < points.length; from += SCAN_COUNT) {
      const replies = await this.#connection.call(async (redis) => {
        const pipeline = redis.pipeline();
        for (const point of points.slice(from, from + SCAN_COUNT)) {
          pipeline.scard(this.#namespace.keysOf(generation, point));
        }
        return pipeline.exec();
      });
      for (const [error, count] of replies ?? []) {
        if (error) throw this.#connection.unreachable(error);
        counts.push(count as number);
      }
    }
    return counts;
  }

  /** Takes or renews the coordinator's lease for `ms`; answers who holds it now. */
  async lease(holder: string, ms: number): Promise<string> {
    return (await this.#connection.run("rsLease", [this.#namespace.lease], [holder, ms])) as string;
  }

  async releaseLease(holder: string): Promise<void> {
    await this.#connection.run("rsRelease", [this.#namespace.lease], [holder]);
  }

  async leaseHolder(): Promise<string | null> {
    return this.#connection.call((redis) => redis.get(this.#namespace.lease));
  }

  async readJournal(): Promise<JournalEntry | undefined> {
    const fields = await this.#connection.call((redis) => redis.hgetall(this.#namespace.journal));
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
    await this.#connection.call((redis) => redis.hset(this.#namespace.journal, { ...fields, settled: text }));
  }

  /** Members are `operation:point`. */
  async copiedPoints(operation: string): Promise<Set<number>> {
    const members = await this.#connection.call((redis) => redis.smembers(this.#namespace.copied));
    const own = members.filter((member) => member.startsWith(`${operation}:`));
    return new Set(own.map((member) => Number(member.slice(operation.length + 1))));
  }

  async addCopiedPoint(operation: string, point: number): Promise<void> {
    await this.#connection.call((redis) => redis.sadd(this.#namespace.copied, `${operation}:${point}`));
  }

  async clearCopiedPoints(): Promise<void> {
    await this.#connection.call((redis) => redis.del(this.#namespace.copied));
  }

  async readControl(): Promise<Control | undefined> {
    const text = await this.#connection.call((redis) => redis.hget(this.#namespace.journal, "control"));
    return text === null ? undefined : (JSON.parse(text) as Control);
  }

  async writeControl(control: Control | undefined): Promise<void> {
    const { journal } = this.#namespace;
    if (control === undefined) await this.#connection.call((redis) => redis.hdel(journal, "control"));
    else await this.#connection.call((redis) => redis.hset(journal, "control", JSON.stringify(control)));
  }

  sets(): AsyncIterable<IndexSet[]> {
    return setPages(this.#connection, this.#namespace);
  }

  async unlinkSets(sets: readonly IndexSet[]): Promise<void> {
    for (let from = 0; from < sets.length; from += SCAN_COUNT) {
      const part = sets.slice(from, from + SCAN_COUNT);
      const names = part.map((set) => this.#namespace.keysOf(set.generation, set.point));
      // without their counts: whoever wants them again has the sets that are left counted
      const counts = [...new Set(part.map((set) => this.#namespace.countsOf(set.generation)))];
      await this.#connection.call((redis) => redis.unlink(...names, ...counts));
    }
  }

  async listed(entries: readonly (IndexSet & { readonly key: string })[]): Promise<boolean[]> {
    if (entries.length === 0) return [];
    const replies = await this.#connection.call((redis) => {
      const pipeline = redis.pipeline();
      for (const { generation, point, key } of entries) {
        pipeline.sismember(this.#namespace.keysOf(generation, point), bytes(key));
      }
      return pipeline.exec();
    });
    return (replies ?? []).map(([error, found]) => {
      if (error) throw this.#connection.unreachable(error);
      return found === 1;
    });
  }

  /** @throws RingshiftError REDIS_EVICTS when memory pressure could drop the topology or the index */
  async checkEviction(): Promise<void> {
    const memory = await this.#connection.call((redis) => redis.info("memory"));
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
    this.#connection.subscribe(this.#namespace.channel, announced);
  }

  /** For what other files keep in the same Redis. @throws RingshiftError REDIS_UNREACHABLE */
  call<T>(call: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#connection.call(call);
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  #change(
    command: "rsRecord" | "rsUnrecord",
    generation: number,
    entries: readonly PointEntries[],
    args: readonly string[],
  ): Promise<unknown> {
    const names = [this.#namespace.topology, this.#namespace.countsOf(generation)];
    const packed = pack(entries, (point) => this.#namespace.keysOf(generation, point));
    return this.#connection.run(command, names, [packed, ...args]);
  }
}
