/**
 * How many entries each set of the index has, without asking the sets: one Redis hash a generation, point to count, kept by the very scripts
 * that add and remove entries, in the same step. So set and count agree whatever dies in between, and reach Redis' replicas together.
 *
 *   recount ─► the hash has the field COUNTING ─► RECORD, UNRECORD keep the counts ─► read: one HGETALL
 *
 * Nothing is counted before somebody has asked: a cluster that nobody looks at pays one look at that field per recording. What is
 * done to sets past ringshift (DEL, SREM by hand) makes counts wrong until the next `recount`.
 *
 * Counts go by point, not by node: whoever adds them up does so by the ring of the moment, so a change of the ring converts nothing.
 */
import type { TopologyDocument } from "./document.ts";
import type { Namespace } from "./namespace.ts";
import type { RedisStore } from "./redis-store.ts";
import { COUNTING, RECOUNT } from "./scripts.ts";

/** Sets that one script counts. */
const PAGE = 1_000;

/** All calls reject with RingshiftError REDIS_UNREACHABLE when Redis does not answer. */
export class EntryCounts {
  readonly #store: RedisStore;
  readonly #namespace: Namespace;

  constructor(store: RedisStore, namespace: Namespace) {
    this.#store = store;
    this.#namespace = namespace;
  }

  /**
   * Entries by point, points without any left out; undefined: they are not counted yet. Entries may include expired or deleted keys until a
   * sweep; while one is under way the former generation counts where it lists more.
   */
  async read(
    document: Pick<TopologyDocument, "generation" | "sweeping">,
  ): Promise<ReadonlyMap<number, number> | undefined> {
    const { generation, sweeping } = document;
    const counts = await this.#readOne(generation);
    if (counts === undefined || sweeping === undefined || sweeping === null) return counts;
    for (const [point, count] of (await this.#readOne(sweeping)) ?? []) {
      if (count > (counts.get(point) ?? 0)) counts.set(point, count);
    }
    return counts;
  }

  /**
   * Counts the sets of the points, and of all points that have a count, and has the counts kept from now on.
   * @returns how many counts were wrong
   */
  async recount(generation: number, points: Iterable<number>): Promise<number> {
    const name = this.#namespace.countsOf(generation);
    const counted = await this.#store.call((redis) => redis.hkeys(name));
    const all = [...new Set([...points, ...counted.filter(isPoint).map(Number)])];
    let wrong = 0;
    for (let from = 0; from < all.length; from += PAGE) {
      const sets = all.slice(from, from + PAGE).map((point) => this.#namespace.keysOf(generation, point));
      wrong += (await this.#store.call((redis) => redis.eval(RECOUNT, sets.length + 1, name, ...sets))) as number;
    }
    return wrong;
  }

  async #readOne(generation: number): Promise<Map<number, number> | undefined> {
    const fields = await this.#store.call((redis) => redis.hgetall(this.#namespace.countsOf(generation)));
    if (fields[COUNTING] === undefined) return undefined;
    return new Map(
      Object.entries(fields).flatMap(([point, count]) => (isPoint(point) ? [[Number(point), Number(count)]] : [])),
    );
  }
}

function isPoint(field: string): boolean {
  return field !== COUNTING;
}
