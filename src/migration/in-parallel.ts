/** Work on many sets of the index: some at the same time, so that the round trips to Redis overlap, and no more. */

/** Sets of the index that are read at the same time. */
export const SETS_AT_ONCE = 8;

/** Runs the work for every item, `limit` at a time; the first failure ends it when those under way have ended. */
export async function inParallel<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for await (const item of items) {
    if (failures.length > 0) break;
    const one: Promise<void> = work(item)
      .catch((error: unknown) => void failures.push(error))
      .finally(() => void running.delete(one));
    running.add(one);
    if (running.size >= limit) await Promise.race(running);
  }
  await Promise.all(running);
  if (failures.length > 0) throw failures[0];
}
