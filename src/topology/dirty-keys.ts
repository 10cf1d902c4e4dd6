/**
 * The keys whose writes a server may not have got, shared by all clients: one sorted set a server in Redis, each key with the time
 * (microseconds, Redis' clock) at which it was put there last; and a set of those servers' names. Whoever lets the server serve again deletes
 * exactly these keys on it first, and takes them off unless somebody has put them there again meanwhile. A server that has left the ring takes its
 * set with it. The sets have no time to live: a Redis that evicts what has one would drop them.
 */
import type { Redis } from "ioredis";
import { allNodes, type TopologyDocument } from "./document.ts";
import type { Namespace } from "./namespace.ts";
import type { RedisStore } from "./redis-store.ts";

const PAGE = 1_000;

/** A key (latin1 text) and the mark it was found with. */
export interface DirtyKey {
  readonly key: string;
  readonly mark: string;
}

/** KEYS: set, names of servers that have one. ARGV: the server's name, keys. */
const ADD = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[i]) end
redis.call('SADD', KEYS[2], ARGV[1])
return 1
`;

/** KEYS: set. ARGV: key and mark by turns. */
const REMOVE = `
for i = 1, #ARGV, 2 do
  local mark = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if mark and tonumber(mark) == tonumber(ARGV[i + 1]) then redis.call('ZREM', KEYS[1], ARGV[i]) end
end
return 1
`;

/** KEYS: topology, names of servers that have a set, sets of servers that the document does not name. ARGV: its id, those servers' names. */
const DROP = `
if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then return 0 end
for i = 2, #ARGV do
  redis.call('UNLINK', KEYS[i + 1])
  redis.call('SREM', KEYS[2], ARGV[i])
end
return 1
`;

/** All calls reject with RingshiftError REDIS_UNREACHABLE when Redis does not answer. */
export class DirtyKeys {
  readonly #store: RedisStore;
  readonly #namespace: Namespace;

  constructor(store: RedisStore, namespace: Namespace) {
    this.#store = store;
    this.#namespace = namespace;
  }

  async add(node: string, keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length; from += PAGE) {
      const members = keys.slice(from, from + PAGE).map((key) => Buffer.from(key, "latin1"));
      await this.#call((redis) => redis.eval(ADD, 2, this.#set(node), this.#names, node, ...members));
    }
  }

  /** Some of the server's keys, oldest first; none: there are none. */
  async some(node: string): Promise<DirtyKey[]> {
    const found = await this.#call((redis) => redis.zrangeBuffer(this.#set(node), "0", String(PAGE - 1), "WITHSCORES"));
    const keys: DirtyKey[] = [];
    for (let i = 0; i + 1 < found.length; i += 2) {
      keys.push({ key: found[i]!.toString("latin1"), mark: found[i + 1]!.toString("latin1") });
    }
    return keys;
  }

  /** Takes keys off that still have the mark they were found with. */
  async remove(node: string, keys: readonly DirtyKey[]): Promise<void> {
    const words = keys.flatMap(({ key, mark }) => [Buffer.from(key, "latin1"), mark]);
    if (words.length > 0) await this.#call((redis) => redis.eval(REMOVE, 1, this.#set(node), ...words));
  }

  /** The servers among `nodes` that have dirty keys. */
  async nodesWithSome(nodes: readonly string[]): Promise<string[]> {
    const counts = await this.#call(async (redis) => {
      const pipeline = redis.pipeline();
      for (const node of nodes) pipeline.exists(this.#set(node));
      return pipeline.exec();
    });
    return nodes.filter((_, i) => counts?.[i]?.[1] === 1);
  }

  /** Drops the sets of servers that are not in the document, while it is the present one: a server that joins has none of its keys. */
  async keepOnly(document: TopologyDocument): Promise<void> {
    const kept = new Set(allNodes(document).map(({ name }) => name));
    const left = (await this.#call((redis) => redis.smembers(this.#names))).filter((name) => !kept.has(name));
    if (left.length === 0) return;
    const keys = [this.#namespace.topology, this.#names, ...left.map((name) => this.#set(name))];
    await this.#call((redis) => redis.eval(DROP, keys.length, ...keys, document.id, ...left));
  }

  #call<T>(call: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#store.call(call);
  }

  /** The set of names of servers that have a set. */
  get #names(): string {
    return `ringshift:${this.#namespace.name}:dirty`;
  }

  #set(node: string): string {
    return `ringshift:${this.#namespace.name}:dirty:${node}`;
  }
}
