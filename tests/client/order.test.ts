/** One process keeps the order of its own calls per key, whether or not they are awaited and whatever a call has to wait for first. */
import { describe, expect, test } from "vitest";
import type { Client } from "../../src/index.ts";
import { createClient } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench();

/** Issues the calls in one go, and answers what each resolved to. */
async function history(client: Client, key: string): Promise<unknown[]> {
  return Promise.all([
    client.get(key),
    client.delete(key),
    client.set(key, "one"),
    client.set(key, "two"),
    client.get(key),
    client.add(key, "three"),
    client.replace(key, 10),
    client.incr(key, 5),
    client.getMulti([key]).then((found) => found.get(key)),
    client.decr(key),
    client.touch(key, 100),
    client.get(key),
    client.delete(key),
    client.get(key),
    client.incr(key),
    client.replace(key, "four"),
    client.add(key, "five"),
    client.setMulti([
      [key, "six"],
      [key, "seven"],
    ]),
    client.gets(key).then((found) => found?.value),
    client.deleteMulti([key]).then((deleted) => deleted.get(key)),
    client.delete(key),
    client.set(key, "last"),
    client.get(key),
  ]);
}

const EXPECTED = [
  undefined,
  false,
  true,
  true,
  "two",
  false,
  true,
  15,
  15,
  14,
  true,
  14,
  true,
  undefined,
  undefined,
  false,
  true,
  true,
  "seven",
  true,
  false,
  true,
  "last",
];

describe("calls that are not awaited run in the order they were made", () => {
  test("on keys nobody has recorded yet, and again on the same keys", async () => {
    const client = await bench.cluster().client();
    const keys = Array.from({ length: 60 }, (_, i) => `order:${i}`);
    for (const _ of ["new", "recorded"]) {
      const histories = await Promise.all(keys.map((key) => history(client, key)));
      for (const one of histories) expect(one).toStrictEqual(EXPECTED);
      await client.deleteMulti(keys);
    }
  });

  test("for a plain client", async () => {
    const plain = bench.own(await LocalCluster.start({ redis: false, memcached: 2 }));
    const client = bench.own(await createClient({ servers: plain.servers }));
    const histories = await Promise.all(Array.from({ length: 60 }, (_, i) => history(client, `order:${i}`)));
    for (const one of histories) expect(one).toStrictEqual(EXPECTED);
  });

  test("while a large value and small ones take turns", async () => {
    const client = await bench.cluster().client();
    const large = "x".repeat(700_000);
    const calls = Array.from({ length: 20 }, (_, i) => client.set("turns", i % 2 === 0 ? large : i));
    const reads = Array.from({ length: 20 }, (_, i) => {
      const set = client.set("turns", i % 2 === 0 ? large : i);
      return Promise.all([set, client.get("turns")]);
    });
    expect(await Promise.all(calls)).toStrictEqual(calls.map(() => true));
    for (const [i, [, value]] of (await Promise.all(reads)).entries()) {
      expect(value === (i % 2 === 0 ? large : i)).toBe(true);
    }
  });

  test("one failure does not disturb the calls behind it", async () => {
    const client = await bench.cluster().client();
    for (let round = 0; round < 5; round++) {
      const outcomes = await Promise.allSettled([
        client.set("failing", "words"),
        client.incr("failing"),
        client.set("failing", 7),
        client.incr("failing"),
      ]);
      expect(outcomes.map((outcome) => outcome.status)).toStrictEqual([
        "fulfilled",
        "rejected",
        "fulfilled",
        "fulfilled",
      ]);
      expect(await client.get("failing")).toBe(8);
    }
  });
});
