/**
 * The index in pages: keys of a set, and names of sets. Redis' cursors leave nothing out that is there all the time, and may bring a thing twice.
 *
 *   cursor 0 ─► page, cursor ─► page, cursor ─► ... ─► page, cursor 0
 */
import type { Namespace } from "./namespace.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { IndexSet } from "./store.ts";

export const SCAN_COUNT = 1_000;

/** @param name of a set */
export async function* keyPages(connection: RedisConnection, name: string): AsyncIterable<string[]> {
  let cursor = "0";
  do {
    const { next, keys } = await page(connection, name, cursor);
    cursor = next;
    if (keys.length > 0) yield keys;
  } while (cursor !== "0");
}

/** A page that the script cannot tell the keys of is asked for again, key by key (`PAGE`, scripts.ts). */
async function page(
  connection: RedisConnection,
  name: string,
  cursor: string,
): Promise<{ next: string; keys: string[] }> {
  const [next, count, text] = (await connection.run("rsPageBuffer", [name], [cursor, SCAN_COUNT])) as [
    Buffer,
    number,
    Buffer,
  ];
  const keys = count === 0 ? [] : text.toString("latin1").split("\n");
  if (keys.length === count) return { next: next.toString("latin1"), keys };
  const [after, each] = await connection.call((redis) => redis.sscanBuffer(name, cursor, "COUNT", SCAN_COUNT));
  return { next: after.toString("latin1"), keys: each.map((key) => key.toString("latin1")) };
}

export async function* setPages(connection: RedisConnection, namespace: Namespace): AsyncIterable<IndexSet[]> {
  const pattern = namespace.keysOf(0, 0).replace(/0:0$/, "");
  let cursor = "0";
  do {
    const from = cursor;
    const [next, names] = await connection.call((redis) =>
      redis.scan(from, "MATCH", `${pattern}*`, "COUNT", SCAN_COUNT),
    );
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
