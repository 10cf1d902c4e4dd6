/** The keys of a run: their kinds, and what their values are in the history. */
import type { Result } from "./history.ts";
import { tokenOf } from "./values.ts";

/** Kinds of keys, with their share of the keys. The first letter of a key says its kind. */
export const KINDS = { v: 0.4, t: 0.2, n: 0.2, e: 0.2 } as const;
export type Kind = keyof typeof KINDS;

/** The key at an index: its kind by share, evenly mixed. */
export function keyAt(index: number): string {
  const place = ((index * 7) % 10) / 10;
  let sum = 0;
  for (const kind of Object.keys(KINDS) as Kind[]) {
    sum += KINDS[kind];
    if (place < sum - 1e-9) return `${kind}${index}`;
  }
  throw new Error(`no kind for key ${index}`);
}

/** What a value is in the history. */
export function shown(key: string, value: unknown): Result {
  if (value === undefined) return null;
  if (key[0] === "n") return String(value);
  if (typeof value !== "string") return `malformed:${typeof value}`;
  return key[0] === "t" ? value : tokenOf(value);
}
