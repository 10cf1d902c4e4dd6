/**
 * Index entries as the scripts RECORD and UNRECORD take them (scripts.ts): all of a call in one text, for struct.unpack.
 *
 *     | length | name of a set | how many keys | length | key | length | key | ... | length | name of a set | ...
 *       2 bytes                  2 bytes         2 bytes
 *
 * One argument instead of three a key: ioredis, Redis and Lua each take some time for every argument.
 */
import type { PointEntries } from "./store.ts";

/** Keys of one call at most, so that no script holds Redis for long. */
const MAX_KEYS_PER_CALL = 10_000;

/** Lengths, and numbers of keys in one set, that are common enough to be ready as text. */
const READY = Array.from({ length: 256 }, (_, value) => String.fromCharCode(0, value));

/** @param nameOf the name of a point's set */
export function pack(entries: readonly PointEntries[], nameOf: (point: number) => string): string | Buffer {
  let text = "";
  for (const { point, keys } of entries) {
    const set = nameOf(point);
    text += uint16(set.length) + set + uint16(keys.length);
    for (const key of keys) text += uint16(key.length) + key;
  }
  return bytes(text);
}

/** Latin1 text as ioredis has to be given it: it would send a string with chars above 0x7f as two bytes each. */
export function bytes(text: string): string | Buffer {
  return Buffer.byteLength(text, "utf8") === text.length ? text : Buffer.from(text, "latin1");
}

/** The entries in calls of at most 10,000 keys. */
export function split(entries: readonly PointEntries[]): Iterable<readonly PointEntries[]> {
  let keys = 0;
  for (const entry of entries) keys += entry.keys.length;
  if (keys <= MAX_KEYS_PER_CALL) return keys === 0 ? [] : [entries];
  return parts(entries);
}

function* parts(entries: readonly PointEntries[]): Iterable<readonly PointEntries[]> {
  let part: PointEntries[] = [];
  let size = 0;
  for (const { point, keys } of entries) {
    for (let from = 0; from < keys.length; ) {
      const take = Math.min(keys.length - from, MAX_KEYS_PER_CALL - size);
      part.push({ point, keys: keys.slice(from, from + take) });
      from += take;
      size += take;
      if (size === MAX_KEYS_PER_CALL) {
        yield part;
        part = [];
        size = 0;
      }
    }
  }
  if (part.length > 0) yield part;
}

/** A number up to 65,535 in two bytes, the higher one first. */
function uint16(value: number): string {
  return value < READY.length ? READY[value]! : String.fromCharCode(value >>> 8, value & 0xff);
}
