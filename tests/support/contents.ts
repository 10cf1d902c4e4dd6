/** A set of items of every kind, and what the servers hold of them before and after a change. */
import { randomBytes } from "node:crypto";
import type { Client } from "../../src/index.ts";
import { classicSet } from "../../src/memcached/commands.ts";
import type { TestCluster } from "./bench.ts";

/** An item as its server holds it. */
export interface Held {
  readonly address: string;
  readonly value: Buffer;
  readonly flags: number;
  /** Seconds left; -1: never expires. */
  readonly ttl: number;
  readonly cas: string;
  /** Between these two, in ms, the server was looking: on a busy machine some seconds may lie between them. */
  readonly askedAt: number;
  readonly answeredAt: number;
}

const TTLS = [0, 0, 300, 2_000_000, 40 * 86_400];

/** Stores `count` items: values of all types and sizes, random bytes, keys of all kinds, TTLs up to 40 days. Answers the keys. */
export async function fill(client: Client, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, i) => keyOf(i));
  await Promise.all(keys.map((key, i) => client.set(key, contentOf(i), { ttl: TTLS[i % TTLS.length]! })));
  return keys;
}

/** Gives some keys client flags that ringshift itself never writes, as other clients do. */
export async function giveForeignFlags(cluster: TestCluster, client: Client, keys: readonly string[]): Promise<void> {
  for (const [i, key] of keys.entries()) {
    const flags = [1, 0xffff_ffff, 0x0001_0000, 0x5253_5049][i % 4]!;
    await cluster.bench.ask(client.locate(key).address, classicSet(cluster.wire(key), flags, 0, randomBytes(50)));
  }
}

/** What the keys' owners hold of them, by key. @throws Error for a key that its owner does not hold */
export async function holdings(
  cluster: TestCluster,
  client: Client,
  keys: readonly string[],
): Promise<Map<string, Held>> {
  const held = new Map<string, Held>();
  await Promise.all(
    keys.map(async (key) => {
      const { address } = client.locate(key);
      const askedAt = performance.now();
      const item = await cluster.bench.item(address, cluster.wire(key));
      if (item === undefined) throw new Error(`${address} does not hold ${key}`);
      const times = { askedAt, answeredAt: performance.now() };
      held.set(key, { address, value: item.value!, flags: item.flags!, ttl: item.ttl!, cas: item.cas!, ...times });
    }),
  );
  return held;
}

/**
 * What differs, in words: values, flags and TTLs of all keys (a TTL may drift by a second a move, and time has passed), and for a key
 * that stayed where it was its CAS too, since nobody may have touched it.
 */
export function differences(before: Map<string, Held>, after: Map<string, Held>): string[] {
  const found: string[] = [];
  for (const [key, was] of before) {
    const is = after.get(key);
    if (is === undefined) found.push(`${key} is gone`);
    else if (!is.value.equals(was.value)) found.push(`${key} has another value`);
    else if (is.flags !== was.flags) found.push(`${key} has flags ${is.flags}, had ${was.flags}`);
    else if (is.address === was.address && is.cas !== was.cas) found.push(`${key} did not move but was written`);
    else if (!ttlKept(was, is)) found.push(`${key} has TTL ${is.ttl}, had ${was.ttl}`);
  }
  return found;
}

function ttlKept(was: Held, is: Held): boolean {
  if (was.ttl === -1 || is.ttl === -1) return was.ttl === is.ttl;
  const passed = Math.ceil((is.answeredAt - was.askedAt) / 1000);
  return is.ttl <= was.ttl + 1 && is.ttl >= was.ttl - passed - 1;
}

function keyOf(i: number): string {
  switch (i % 5) {
    case 0:
      return `ключ:${i}:🦁`;
    case 1:
      return `${i}:${"long".repeat(50)}`;
    case 2:
      return `%20${i}&"'\\{}`;
    default:
      return `key:${i}`;
  }
}

function contentOf(i: number): unknown {
  switch (i % 7) {
    case 0:
      return randomBytes(i % 3_000);
    case 1:
      return { i, text: "é茨🦁", list: [i, null] };
    case 2:
      return i;
    case 3:
      return "";
    case 4:
      return i % 2 === 0;
    case 5:
      return `text ${i} \r\nEND\r\n`;
    default:
      return i % 100 === 6 ? randomBytes(600_000) : Buffer.from([0, 255, 13, 10, i & 255]);
  }
}
