/** Values to try, and whether they are one that can be stored and come back as they were. */
import type { Random } from "../model/random.ts";
import { text, unicode } from "./keys.ts";

/** Item size limit of a memcached by default. */
export const MAX_ITEM_BYTES = 1024 * 1024;
/** Item header, key's end, client flags, CAS number, the value's end: none of it is left for the value. */
const ITEM_OVERHEAD = 63;
const INJECTION = "\r\nEN\r\nflush_all\r\nVA 5\r\n";

/** What a value has to become: stored, refused as no value, or refused as too large. */
export type Fate = "stored" | "invalid" | "too-large";

export interface Sample {
  readonly value: unknown;
  /** Bytes as stored. */
  readonly bytes: number;
  readonly valid: boolean;
}

export function randomValue(random: Random): Sample {
  switch (random.weighted({ bytes: 40, text: 25, number: 12, json: 15, half: 3, refused: 5 })) {
    case "bytes": {
      const value = randomBytes(random, randomLength(random));
      return { value, bytes: value.length, valid: true };
    }
    case "text": {
      const value = randomText(random);
      return { value, bytes: Buffer.byteLength(value), valid: true };
    }
    case "number": {
      const value = randomNumber(random);
      return { value, bytes: String(value).length, valid: true };
    }
    case "json": {
      const value = random.chance(0.1) ? random.pick([null, true, false]) : randomJson(random, 3);
      return { value, bytes: Buffer.byteLength(JSON.stringify(value)), valid: true };
    }
    case "half": {
      const value = `a${String.fromCharCode(random.int(0xd800, 0xdfff))}b`;
      return { value, bytes: 5, valid: false };
    }
    case "refused":
      return { value: random.pick<unknown>([undefined, Symbol("v"), () => 1, NaN, -Infinity]), bytes: 0, valid: false };
  }
}

export function fateOf(sample: Sample, keyBytes: number): Fate {
  if (!sample.valid) return "invalid";
  return sample.bytes + keyBytes + ITEM_OVERHEAD > MAX_ITEM_BYTES ? "too-large" : "stored";
}

/** True when what was read is what was stored. Bytes come back as a Buffer. */
export function isSame(stored: unknown, read: unknown): boolean {
  if (stored instanceof Uint8Array) return Buffer.isBuffer(read) && read.equals(stored);
  if (typeof stored !== "object" || stored === null) return Object.is(stored, read);
  return typeof read === "object" && JSON.stringify(stored) === JSON.stringify(read);
}

/** Short ones mostly, then evenly over the orders of magnitude, with the limit and its neighbours among them. */
function randomLength(random: Random): number {
  switch (random.weighted({ short: 960, middle: 35, any: 4, limit: 1 })) {
    case "short":
      return random.int(0, 200);
    case "middle":
      return random.int(200, 4_200);
    case "any":
      return Math.floor(2 ** (random.next() * 20));
    case "limit":
      return MAX_ITEM_BYTES - random.int(-2, 330);
  }
}

function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (length > 4_096)
    bytes.fill(randomBytes(random, 1_021)); // chance is slow by the megabyte
  else for (let i = 0; i < length; i++) bytes[i] = random.int(0, 255);
  if (length > 40 && random.chance(0.3)) bytes.write(INJECTION, random.int(0, length - 30), "latin1");
  return bytes;
}

function randomText(random: Random): string {
  const length = random.chance(0.001) ? randomLength(random) : random.int(0, 120);
  const base = random.chance(0.5)
    ? unicode(random, Math.min(length, 2_000))
    : text(random, Math.min(length, 4_000), 0, 255);
  return random.chance(0.2) ? base + INJECTION + base : base;
}

/** Not -0, which is stored as 0, in JSON too. */
function randomNumber(random: Random): number | bigint {
  const value = random.pick<() => number | bigint>([
    () => random.int(0, 1_000),
    () => random.int(-(2 ** 52), 2 ** 52),
    () => (random.next() - 0.5) * 10 ** random.int(-300, 300),
    () => Number.MAX_SAFE_INTEGER,
    () => 5e-324,
    () => BigInt(random.int(0, 2 ** 52)) ** BigInt(random.int(0, 20)),
    () => -(2n ** 200n),
  ])();
  return value === 0 ? 0 : value;
}

function randomJson(random: Random, depth: number): unknown {
  const leaf = () =>
    random.pick<unknown>([
      null,
      true,
      false,
      12.5,
      "",
      "\ud800 is escaped",
      unicode(random, 5),
      text(random, 5, 0, 127),
    ]);
  // on the top a string, number or bytes would be no JSON
  if (depth < 3 && (depth === 0 || random.chance(0.4))) return leaf();
  const size = random.int(0, 4);
  if (random.chance(0.5)) return Array.from({ length: size }, () => randomJson(random, depth - 1));
  const names = Array.from({ length: size }, () => random.pick(["__proto__", "constructor", "a", "0", "\r\n", "ключ"]));
  return Object.fromEntries(names.map((name) => [name, randomJson(random, depth - 1)]));
}
