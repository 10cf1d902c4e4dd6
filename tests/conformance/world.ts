/** What the suite works on: a client, and keys of which it knows what is stored there, on servers that change or do not. */
import type { Client } from "../../src/client/client.ts";
import { createClient } from "../../src/client/create.ts";
import { type Admin, openAdmin } from "../../src/migration/admin.ts";
import type { RedisServer } from "../../src/testing/local-cluster.ts";
import type { Way } from "./ways.ts";

/** Stored before the change begins, by kind. */
const VALUES = {
  text: (key: string): unknown => `value of ${key}`,
  number: (): unknown => 41,
  json: (key: string): unknown => ({ name: "Ada", of: [key, null, true] }),
  bytes: (): unknown => ALL_BYTES,
  /** Nothing is stored. */
  none: undefined,
} as const;
export const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

export type Kind = keyof typeof VALUES;

/** Per kind. In D about a third of them moves, a quarter where chance has placed the servers badly; a way takes up to fifty. */
const KEYS = 400;
const TTL_S = 1_000;
/** Stored before the change and touched by nobody, the copier apart. */
const UNTOUCHED = Array.from({ length: 100 }, (_, i) => `untouched:${i}`);

export interface World {
  readonly cache: Client;
  /** The way can read TTLs, list keys, refresh ahead. */
  readonly full: boolean;
  /** The phase that the cluster stays in until `finish`. */
  readonly phase: "S" | "D";
  /** A key that no test has had, moving where keys move. */
  key(kind: Kind): string;
  /** Carries the change through, and says which of the untouched keys are there. */
  finish(): Promise<number>;
  close(): Promise<void>;
}

export const UNTOUCHED_KEYS = UNTOUCHED.length;

/** What `key(kind)` is stored as. */
export function storedUnder(kind: Kind, key: string): unknown {
  return VALUES[kind]?.(key);
}

/** Two servers that stay; managed where they can be, so that every command ends with the get of a fence. */
export async function stableWorld(way: Way, redis: RedisServer): Promise<World> {
  const servers = [await way.start(), await way.start()];
  const managed = way.meta ? { redis: redis.url, namespace: namespaceOf(way, "stable") } : {};
  const cache = await createClient({ ...way.options, ...managed, servers, timeoutMs: 30_000 });
  await fill(cache);
  return {
    cache,
    full: way.meta,
    phase: "S",
    key: keysOf(() => true),
    finish: async () => (await cache.getMulti(UNTOUCHED)).size,
    close: () => cache.quit(),
  };
}

/** Two servers, and a third that joins: the cluster stays in D until `finish`, with a copier that moves next to nothing. */
export async function movingWorld(way: Way, redis: RedisServer): Promise<World> {
  const namespace = namespaceOf(way, "moving");
  const servers = [await way.start(), await way.start()];
  const cache = await createClient({ ...way.options, redis: redis.url, namespace, servers, timeoutMs: 30_000 });
  await fill(cache);
  const admin = await openAdmin({ ...way.access, redis: redis.url, namespace });
  const joining = await way.start();
  const stop = new AbortController();
  const begun = new Promise<void>((resolve) => cache.on("migration", () => resolve()));
  const held = hold(admin, joining, stop.signal);
  await begun;
  return {
    cache,
    full: true,
    phase: "D",
    key: keysOf((key) => cache.locate(key).movingFrom !== undefined),
    finish: async () => {
      stop.abort();
      await held;
      await admin.apply({ kind: "add-node", nodes: [{ address: joining }] });
      return (await cache.getMulti(UNTOUCHED)).size;
    },
    close: async () => {
      stop.abort();
      await held;
      await Promise.all([cache.quit(), admin.close()]);
    },
  };
}

/** Resolves when it was stopped. */
async function hold(admin: Admin, joining: string, signal: AbortSignal): Promise<void> {
  await admin.apply({ kind: "add-node", nodes: [{ address: joining }] }, { rate: 1, signal }).catch(() => {});
}

function namespaceOf(way: Way, state: string): string {
  return `${state}-${way.name.replaceAll(/[^A-Za-z0-9]+/g, "-")}`;
}

async function fill(cache: Client): Promise<void> {
  for (const kind of Object.keys(VALUES) as Kind[]) {
    if (kind === "none") continue;
    const keys = Array.from({ length: KEYS }, (_, i) => `${kind}:${i}`);
    await cache.setMulti(
      keys.map((key) => [key, storedUnder(kind, key)] as const),
      { ttl: TTL_S },
    );
  }
  await cache.setMulti(UNTOUCHED.map((key) => [key, `value of ${key}`] as const));
}

/** Hands out each suitable key once. @throws Error when there is none left */
function keysOf(suitable: (key: string) => boolean): (kind: Kind) => string {
  const next = new Map<Kind, number>();
  return (kind) => {
    for (let i = next.get(kind) ?? 0; i < KEYS; i++) {
      const key = `${kind}:${i}`;
      next.set(kind, i + 1);
      if (suitable(key)) return key;
    }
    throw new Error(`the suite needs more keys of kind ${kind}`);
  };
}
