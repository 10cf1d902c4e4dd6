/** The direct way in D (src/client/direct.ts): what a get and a set of a key that has moved cost at the servers, and where the full rules take over. */
import { expect, test } from "vitest";
import type { Client } from "../../src/index.ts";
import { bench, Died, dieAt } from "../failures/support.ts";

/** A cluster in D that nobody copies, its client, and keys that are still at their old owners. */
async function inDual(count: number) {
  const b = await bench();
  const joining = await b.cluster.addMemcached();
  const keys = Array.from({ length: 40 * count }, (_, i) => `direct:${i}`);
  await b.client.setMulti(keys.map((key): [string, string] => [key, `value of ${key}`]));
  const change = { kind: "add-node", nodes: [{ address: joining.address }] } as const;
  await expect(b.admin.apply(change, { onProgress: dieAt("copying") })).rejects.toThrow(Died);
  while (b.client.topology().phase !== "D") await new Promise((resolve) => setTimeout(resolve, 20));
  const moving = keys.filter((key) => b.client.locate(key).movingFrom !== undefined);
  return { b, client: b.client, other: await b.open(), keys: moving.slice(0, count), joining: joining.address };
}

/** Of a server's statistics: together the gets, sets and deletes that it has run. */
const COMMANDS = ["cmd_get", "cmd_set", "delete_hits", "delete_misses"];

/** Commands that the servers have run for `work`, by server. */
async function commandsOf(client: Client, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await client.stats();
  await work();
  const after = await client.stats();
  const count = (name: string) =>
    COMMANDS.reduce((sum, of) => sum + Number(after[name]![of]) - Number(before[name]![of]), 0);
  return Object.fromEntries(Object.keys(after).map((name) => [name, count(name)]));
}

/** Commands of one flush: this many, and the get of the fence. */
function flushOf(node: string, commands: number, servers: Record<string, number>): Record<string, number> {
  return { ...Object.fromEntries(Object.keys(servers).map((name) => [name, 0])), [node]: commands + 1 };
}

test("a get whose value is at the new owner, and a set of a key known to have moved, are one flush there", async () => {
  const { client, other, keys, joining } = await inDual(4);
  const [byOther, byUs, many, manyMore] = keys as [string, string, string, string];
  for (const key of [byOther, many, manyMore]) expect(await other.get(key)).toBe(`value of ${key}`); // pulls it
  const reads = client.metrics().readsOfMovingKeys;

  const got = await commandsOf(client, async () => expect(await client.get(byOther)).toBe(`value of ${byOther}`));
  expect(got).toStrictEqual(flushOf(joining, 1, got));
  const gotMany = await commandsOf(client, () => client.getMulti([many, manyMore]));
  expect(gotMany).toStrictEqual(flushOf(joining, 2, gotMany));
  expect(client.metrics().readsOfMovingKeys - reads).toBe(3);

  expect(await client.set(byUs, "first")).toBe(true); // by rule M, with a pull
  const set = await commandsOf(client, () => client.set(byUs, "second"));
  expect(set).toStrictEqual(flushOf(joining, 1, set));
  expect(await other.get(byUs)).toBe("second");
});

test("a get that finds nothing at the new owner brings the value, and counts once", async () => {
  const { client, keys } = await inDual(20);
  const [single, ...others] = keys as [string, ...string[]];
  const { readsOfMovingKeys, pulled, hits } = client.metrics();
  expect(await client.get(single)).toBe(`value of ${single}`);
  const found = await client.getMulti(others);
  expect([...found]).toStrictEqual(others.map((key) => [key, `value of ${key}`]));
  const after = client.metrics();
  const counted = [after.readsOfMovingKeys - readsOfMovingKeys, after.pulled - pulled, after.hits - hits];
  expect(counted).toStrictEqual([keys.length, keys.length, keys.length]);
});

test("a set on the direct way waits for its own process' calls on the key, in D as at rest", async () => {
  const { client, other, keys } = await inDual(8);
  await client.setMulti(keys.map((key): [string, string] => [key, "0"]));
  const answers: Promise<unknown>[] = [];
  for (const key of keys) {
    for (let i = 1; i <= 20; i++) answers.push(client.set(key, `${i}`), client.get(key));
  }
  const values = await Promise.all(answers);
  for (let i = 1; i < values.length; i += 2) expect(values[i]).toBe(`${(((i - 1) / 2) % 20) + 1}`);
  for (const key of keys) expect(await other.get(key)).toBe("20");
});
