import { expect, test } from "vitest";
import { type CacheClient, CheckedClient } from "../../src/demo/checked-client.ts";
import { counterOf, keyOf } from "../../src/demo/values.ts";
import { RingshiftError } from "../../src/errors.ts";

/** A cache of one process' memory, which a test can make go wrong. */
class FakeCache implements CacheClient {
  readonly items = new Map<string, unknown>();
  failure: RingshiftError | undefined;

  async get<T>(key: string): Promise<T | undefined> {
    this.#mayFail();
    return this.items.get(key) as T | undefined;
  }
  async set(key: string, value: unknown): Promise<true> {
    this.#mayFail();
    this.items.set(key, value);
    return true;
  }
  async add(key: string, value: unknown): Promise<boolean> {
    return this.items.has(key) ? false : this.set(key, value);
  }
  async delete(key: string): Promise<boolean> {
    this.#mayFail();
    return this.items.delete(key);
  }
  async incr(key: string, delta: number | bigint = 1): Promise<number | undefined> {
    this.#mayFail();
    const count = this.items.get(key);
    if (typeof count !== "number") return undefined;
    this.items.set(key, count + Number(delta));
    return count + Number(delta);
  }
  metrics() {
    return { pulled: 0, readsOfMovingKeys: 0, retries: 0, ambiguousWrites: 0, dropped: 0 };
  }
  #mayFail(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

const OWN = 40;
const CLEAN = { operations: 0, failedReads: 0, staleReads: 0, lostKeys: 0, failedWrites: 0, ambiguousWrites: 0 };

async function loaded() {
  const cache = new FakeCache();
  const problems: string[] = [];
  const assignment = { redis: "", keys: 60, counters: 1, index: 1, processes: 3, rate: 1 };
  const checked = new CheckedClient(cache, assignment, (text) => problems.push(text));
  await checked.store(OWN, "set");
  cache.items.set(counterOf(0), 0);
  checked.loaded();
  const tally = () => checked.report().tally;
  return { cache, checked, problems, tally };
}

test("a faithful cache gives nothing to complain of", async () => {
  const { checked, problems, tally } = await loaded();
  await checked.read(OWN);
  await checked.store(OWN, "set");
  await checked.remove(OWN);
  await checked.read(OWN);
  await checked.store(OWN, "add");
  await checked.read(OWN);
  await checked.increment(0, 3);
  expect(tally()).toEqual({ ...CLEAN, operations: 7 });
  expect(problems).toEqual([]);
  expect(checked.books().increments).toEqual(Float64Array.of(3));
});

test("an overwritten value is noticed", async () => {
  const { cache, checked, problems, tally } = await loaded();
  const old = cache.items.get(keyOf(OWN));
  await checked.store(OWN, "set");
  cache.items.set(keyOf(OWN), old);
  await checked.read(OWN);
  expect(tally()).toMatchObject({ staleReads: 1, lostKeys: 0 });
  expect(problems).toEqual([expect.stringContaining(`stale: ${keyOf(OWN)} shows 1`)]);
});

test("a lost value is noticed by a read and by a delete, and is one lost key", async () => {
  const { cache, checked, tally } = await loaded();
  cache.items.clear();
  await checked.read(OWN);
  await checked.remove(OWN);
  expect(tally()).toMatchObject({ staleReads: 0, lostKeys: 1 });
  expect(checked.books().lost).toEqual([keyOf(OWN)]);
});

test("a deleted value that comes back is noticed by a read and by an add", async () => {
  const { cache, checked, tally } = await loaded();
  const old = cache.items.get(keyOf(OWN));
  await checked.remove(OWN);
  cache.items.set(keyOf(OWN), old);
  await checked.read(OWN);
  await checked.store(OWN, "add");
  expect(tally()).toMatchObject({ staleReads: 2, lostKeys: 0 });
});

test("another key's value, a cut one and one of another type are noticed", async () => {
  const { cache, checked, tally } = await loaded();
  await checked.store(43, "set");
  const value = cache.items.get(keyOf(OWN));
  for (const wrong of [cache.items.get(keyOf(43)), String(value).slice(0, -1), Buffer.from("x"), null]) {
    cache.items.set(keyOf(OWN), wrong);
    await checked.read(OWN);
  }
  expect(tally()).toMatchObject({ staleReads: 4 });
});

test("what another process wrote is held against later reads", async () => {
  const { cache, checked, tally } = await loaded();
  const other = OWN + 1;
  const writer = new CheckedClient(
    cache,
    { redis: "", keys: 60, counters: 1, index: 2, processes: 3, rate: 1 },
    () => {},
  );
  await writer.store(other, "set");
  const old = cache.items.get(keyOf(other));
  await writer.store(other, "set");
  checked.hear(writer.takeNews());
  await checked.read(other);
  cache.items.set(keyOf(other), old);
  await checked.read(other);
  expect(tally()).toMatchObject({ staleReads: 1 });
  expect(writer.takeNews()).toHaveLength(0);
});

test("operations that reject are counted by what they were", async () => {
  const { cache, checked, tally } = await loaded();
  cache.failure = new RingshiftError("NODE_DOWN", "gone");
  await checked.read(OWN);
  await checked.store(OWN, "set");
  cache.failure = new RingshiftError("AMBIGUOUS_WRITE", "who knows");
  await checked.store(OWN, "set");
  await checked.increment(0, 2);
  expect(tally()).toEqual({ ...CLEAN, operations: 4, failedReads: 1, failedWrites: 1, ambiguousWrites: 2 });
  expect(checked.books()).toMatchObject({ doubts: new Map([[OWN, [4]]]), doubtfulIncrements: Float64Array.of(2) });
});

test("a counter that goes back or is gone is noticed", async () => {
  const { cache, checked, tally } = await loaded();
  await checked.increment(0, 5);
  cache.items.set(counterOf(0), 3);
  await checked.increment(0, 1);
  cache.items.delete(counterOf(0));
  await checked.increment(0, 1);
  expect(tally()).toMatchObject({ staleReads: 1, lostKeys: 1 });
});
