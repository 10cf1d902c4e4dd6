/**
 * What the copies to compare with start from: the cluster's keys at their old owners, and those of them that move when a server joins, given
 * ready. Both are as the copier has them: the servers hold every key, and the moving ones are taken along the ring, as their sets list them.
 * A copy of keys in the order in which they were stored, from servers that hold nothing else, goes through memory in one sweep: its
 * servers took three quarters of the CPU time a key, and it was 1.4 times as fast.
 */
import { keyHash, Ring } from "../../ring/index.ts";
import { fillPipelined } from "../clients/pipe.ts";
import { valueText } from "./load.ts";
import { keyOf } from "./workloads.ts";

export interface CopyPlace {
  /** The servers that hold the keys. */
  readonly sources: readonly string[];
  /** The server that joins them. */
  readonly target: string;
  /** Keys in all. */
  readonly keys: number;
  readonly valueBytes: number;
}

/** By their old owner, in the order of the ring. */
export function movingKeys({ sources, target, keys }: CopyPlace): Map<string, string[]> {
  const ring = new Ring([...sources, target].map((name) => ({ name })));
  const moves = (hash: number) => ring.names[ring.ownerAt(ring.locate(hash))] === target;
  const moving = new Map<string, string[]>();
  for (const [source, theirs] of keysOf(sources, keys)) {
    const along = theirs.filter(({ hash }) => moves(hash)).sort((a, b) => a.hash - b.hash);
    moving.set(
      source,
      along.map(({ key }) => key),
    );
  }
  return moving;
}

/** Stores every key at its old owner, with flags 0. */
export async function fillSources({ sources, keys, valueBytes }: CopyPlace): Promise<void> {
  const value = valueText(valueBytes);
  for (const [source, theirs] of keysOf(sources, keys)) {
    await fillPipelined(
      source,
      theirs.map(({ key }) => key),
      value,
    );
  }
}

/** All keys by their owner, in the order of their numbers. */
function keysOf(owners: readonly string[], keys: number): Map<string, { key: string; hash: number }[]> {
  const ring = new Ring(owners.map((name) => ({ name })));
  const owned = new Map(owners.map((name) => [name, [] as { key: string; hash: number }[]]));
  for (let i = 0; i < keys; i++) {
    const key = keyOf(i);
    const hash = keyHash(key);
    owned.get(ring.names[ring.ownerAt(ring.locate(hash))]!)!.push({ key, hash });
  }
  return owned;
}
