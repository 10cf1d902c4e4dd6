/**
 * What growing from three servers to four costs without a migration, measured: the same keys are written to real servers by one way of
 * choosing a server, and read back by the same way once it knows of a server more. What is missed is lost.
 */
import { metaGet, metaSet } from "../memcached/commands.ts";
import type { Command, Reply } from "../memcached/exchange.ts";
import type { LinkPool } from "../memcached/pool.ts";
import { Ring, wireKeyOf } from "../ring/index.ts";

export interface Loss {
  /** Keys that were written and are not found any more. */
  readonly lost: number;
  /** Of all keys, 0 to 1. */
  readonly share: number;
}

/** A server's place in the list, for a key. */
export type Chooser = (key: string) => number;

export interface LossParts {
  readonly pool: LinkPool;
  /** Addresses of empty servers: the last one joins. */
  readonly servers: readonly string[];
  readonly keys: readonly string[];
  readonly signal: AbortSignal;
}

const BATCH = 60;
const AT_ONCE = 8;
const VALUE = Buffer.from("1");

/** Remainder of a hash, as memjs and others choose: memjs' own hash function (31 times the hash plus the char, in 32 bits). */
export function modulo(servers: number): Chooser {
  return (key) => {
    let hash = 0;
    for (let i = 0; i < key.length; i++) hash = (Math.imul(31, hash) + key.charCodeAt(i)) | 0;
    return Math.abs(hash) % servers;
  };
}

/** A ketama ring of these names. */
export function ketama(names: readonly string[]): Chooser {
  const ring = new Ring(names.map((name) => ({ name })));
  const places = new Map(names.map((name, place) => [name, place]));
  return (key) => places.get(ring.getServer(key)[1])!;
}

/** @throws Error when a server does not take a key */
export async function lossOf(parts: LossParts, before: Chooser, after: Chooser): Promise<Loss> {
  const { keys } = parts;
  await exchange(
    parts,
    before,
    (key) => metaSet(key, VALUE, { flags: 0, ttl: 0 }),
    (reply) => {
      if (reply.status !== "HD") throw new Error(`a server answered ${reply.status} ${reply.message} to a write`);
    },
  );
  let lost = 0;
  await exchange(
    parts,
    after,
    (key) => metaGet(key),
    (reply) => {
      if (reply.status === "EN") lost++;
    },
  );
  return { lost, share: lost / keys.length };
}

/** Sends one command a key to the server that the chooser names. */
async function exchange(
  { pool, servers, keys, signal }: LossParts,
  choose: Chooser,
  command: (wireKey: string) => Command,
  answer: (reply: Reply) => void,
): Promise<void> {
  const queues = servers.map((): string[] => []);
  for (const key of keys) queues[choose(key)]!.push(wireKeyOf(key));
  const batches = queues.flatMap((queue, place) =>
    Array.from({ length: Math.ceil(queue.length / BATCH) }, (_, i) => ({ place, from: i * BATCH })),
  );
  const next = batches[Symbol.iterator]();
  const work = async () => {
    for (const { place, from } of next) {
      signal.throwIfAborted();
      const address = servers[place]!;
      const part = queues[place]!.slice(from, from + BATCH);
      const { replies } = await pool.exchange({ name: address, address }, part.map(command));
      replies.forEach(answer);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
