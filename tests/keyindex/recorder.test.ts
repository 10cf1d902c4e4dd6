/** Recording (recorder.ts, recorded-keys.ts): batches, and the memory of what was recorded, against the plain form of each. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { EpochTable } from "../../src/keyindex/epoch-table.ts";
import { RecordedKeys } from "../../src/keyindex/recorded-keys.ts";
import { Recorder, type Waiter } from "../../src/keyindex/recorder.ts";
import type { View } from "../../src/protocol/view.ts";
import type { PointEntries, TopologyStore } from "../../src/topology/store.ts";

interface Call {
  readonly entries: readonly PointEntries[];
  readonly answer: (id: string) => void;
  readonly fail: (error: unknown) => void;
}

/** A store whose `record` calls stay under way until the test answers them. */
function heldStore(): { store: TopologyStore; calls: Call[] } {
  const calls: Call[] = [];
  const record = (_: number, entries: readonly PointEntries[]) =>
    new Promise((answer, fail) => calls.push({ entries, answer: answer as Call["answer"], fail }));
  return { store: { record } as unknown as TopologyStore, calls };
}

const view = { document: { generation: 0 } } as View;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const keysOf = ({ entries }: Call) => entries.flatMap(({ keys }) => keys);

function waiter(told: string[], key: string): Waiter {
  return { listed: (id) => told.push(`${key} ${id}`), notListed: (error) => told.push(`${key} ${String(error)}`) };
}

describe("batches", () => {
  test("all keys of a turn go in one call", async () => {
    const { store, calls } = heldStore();
    const recorder = new Recorder(store);
    const told: string[] = [];
    for (const [key, point] of [
      ["a", 1],
      ["b", 2],
      ["c", 1],
    ] as const)
      recorder.list(view, key, point, waiter(told, key));
    await turn();
    await turn();
    expect(calls.map(({ entries }) => entries)).toStrictEqual([
      [
        { point: 1, keys: ["a"] },
        { point: 2, keys: ["b"] },
        { point: 1, keys: ["c"] },
      ],
    ]);
    expect(told).toStrictEqual([]);
    calls[0]!.answer("id");
    await turn();
    expect(told).toStrictEqual(["a id", "b id", "c id"]);
  });

  test("many keys go by point", async () => {
    const { store, calls } = heldStore();
    const recorder = new Recorder(store);
    const keys = Array.from({ length: 1000 }, (_, i) => `k${i}`);
    for (const [i, key] of keys.entries()) recorder.list(view, key, i % 7, waiter([], key));
    await turn();
    await turn();
    expect(calls.map(({ entries }) => entries)).toStrictEqual([
      [0, 1, 2, 3, 4, 5, 6].map((point) => ({ point, keys: keys.filter((_, i) => i % 7 === point) })),
    ]);
  });

  test("keys that come while two calls are under way wait for one of them to return, and go together", async () => {
    const { store, calls } = heldStore();
    const recorder = new Recorder(store);
    const told: string[] = [];
    for (const key of ["a", "b", "c", "d", "e"]) {
      recorder.list(view, key, 1, waiter(told, key));
      await turn();
      await turn();
    }
    expect(calls.map(keysOf)).toStrictEqual([["a"], ["b"]]);
    calls[1]!.answer("id");
    await turn();
    expect(calls.map(keysOf)).toStrictEqual([["a"], ["b"], ["c", "d", "e"]]);
    expect(told).toStrictEqual(["b id"]);
  });

  test("a call that fails fails what waited for it as well, and what comes later is asked anew", async () => {
    const { store, calls } = heldStore();
    const recorder = new Recorder(store);
    const told: string[] = [];
    for (const key of ["a", "b", "c"]) {
      recorder.list(view, key, 1, waiter(told, key));
      await turn();
      await turn();
    }
    calls[0]!.fail(new RingshiftError("REDIS_UNREACHABLE", "gone"));
    await turn();
    await turn();
    expect(told.map((line) => line.split(" ")[0])).toStrictEqual(["a", "c"]);
    recorder.list(view, "d", 1, waiter(told, "d"));
    await turn();
    await turn();
    expect(calls.map(keysOf)).toStrictEqual([["a"], ["b"], ["d"]]);
  });
});

describe("the table of epochs", () => {
  test("is a Map, whatever the hashes", () => {
    const slots = fc.constantFrom(undefined, 2, 16);
    const step = fc.record({
      key: fc.integer({ min: 0, max: 3000 }),
      hash: fc.constantFrom(0, 1, 2, 7, 1 << 30, undefined),
      epoch: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2500, size: "max" }), fc.nat(2500), slots, (steps, resetAt, first) => {
        const table = new EpochTable(first);
        const plain = new Map<string, number>();
        const hashes = new Map<string, number>(); // a key has one hash
        for (const [i, { key, hash, epoch }] of steps.entries()) {
          const name = `k${key}`;
          if (!hashes.has(name)) hashes.set(name, hash ?? Math.imul(key, 0x9e3779b1) >>> 0);
          if (i === resetAt) {
            table.reset();
            plain.clear();
          }
          expect(table.find(name, hashes.get(name)!)).toBe(plain.get(name));
          table.note(name, hashes.get(name)!, epoch);
          plain.set(name, epoch);
        }
        expect(table.size).toBe(plain.size);
        for (const [name, epoch] of plain) expect(table.find(name, hashes.get(name)!)).toBe(epoch);
      }),
      { numRuns: 12 },
    );
  });
});

describe("the memory", () => {
  test("knows what a map knows, and forgets what was not used for two generations", () => {
    const key = fc.integer({ min: 0, max: 40 });
    fc.assert(
      fc.property(fc.array(fc.record({ key, add: fc.boolean() }), { maxLength: 300 }), (steps) => {
        const keys = new RecordedKeys(10);
        let [young, old] = [new Set<number>(), new Set<number>()];
        const add = (one: number) => {
          if (young.size >= 10) [old, young] = [young, new Set()];
          young.add(one);
        };
        for (const step of steps) {
          const hash = Math.imul(step.key, 0x9e3779b1) >>> 0;
          const known = young.has(step.key) || old.has(step.key);
          expect(keys.has(`k${step.key}`, hash)).toBe(known);
          if (known && !young.has(step.key)) add(step.key);
          if (!step.add) continue;
          keys.add(`k${step.key}`, hash, 1);
          add(step.key);
        }
      }),
    );
  });

  test("tells keys with one hash apart", () => {
    const keys = new RecordedKeys();
    keys.add("one", 5, 1);
    expect([keys.has("one", 5), keys.has("other", 5)]).toStrictEqual([true, false]);
    keys.clear();
    expect(keys.has("one", 5)).toBe(false);
  });
});
