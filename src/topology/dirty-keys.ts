/**
 * The keys whose writes a server may not have got, shared by all clients: one sorted set a server in Redis, each key with the time
 * (microseconds, Redis' clock) at which it was put there last. Whoever lets the server serve again deletes exactly these keys on it first,
 * and takes them off unless somebody has put them there again meanwhile.
 */
import type { Redis } from "ioredis";
import type { Namespace } from "./namespace.ts";
import type { RedisStore } from "./redis-store.ts";

/** Sets that nobody has added to for this long are dropped: their server is gone for good. */
const KEPT_MS = 30 * 24 * 3600 * 1000;
const PAGE = 1_000;

/** A key (latin1 text) and the mark it was found with. */
export interface DirtyKey {
  readonly key: string;
  readonly mark: string;
}

/** KEYS: set. ARGV: ms to keep, keys. */
const ADD = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
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
      await this.#call((redis) => redis.eval(ADD, 1, this.#set(node), String(KEPT_MS), ...members));
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

  #call<T>(call: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#store.call(call);
  }

  #set(node: string): string {
    return `ringshift:${this.#namespace.name}:dirty:${node}`;
  }
}
