/** The keys that move when a server joins, by their old owner: what the copies to compare with are given ready. */
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

export function movingKeys({ sources, target, keys }: CopyPlace): Map<string, string[]> {
  const before = new Ring(sources.map((name) => ({ name })));
  const after = new Ring([...sources, target].map((name) => ({ name })));
  const moving = new Map(sources.map((source) => [source, [] as string[]]));
  for (let i = 0; i < keys; i++) {
    const key = keyOf(i);
    const hash = keyHash(key);
    if (after.names[after.ownerAt(after.locate(hash))] !== target) continue;
    moving.get(before.names[before.ownerAt(before.locate(hash))]!)!.push(key);
  }
  return moving;
}

/** Stores them at their old owners, with flags 0. */
export async function fillMoving(place: CopyPlace): Promise<void> {
  const value = valueText(place.valueBytes);
  for (const [source, keys] of movingKeys(place)) await fillPipelined(source, keys, value);
}
