/**
 * The demo's keys and values: pure functions of a key's number and a version, so that any process can tell whether a value is right.
 *
 * Sizes, types (and so client flags) and TTLs are mixed. Every value names its key and its version; what follows is filler that depends
 * on both, so a value that was cut, mixed up or belongs to another key is found out by comparing it whole.
 */
import { isDeepStrictEqual } from "node:util";
import { FLAG_BYTES, FLAG_JSON, FLAG_NUMBER, FLAG_TEXT } from "../client/codec.ts";

export type Kind = "text" | "bytes" | "json" | "number";

/** Keys of the demo at most: numbers carry version and key in one exact integer. */
export const MAX_KEYS = 1_000_000;
/** The first keys have values of this size, in bytes of filler. Their number is fixed, so that they never fill the servers. */
export const LARGE_BYTES = 100 * 1024;
export const LARGE_KEYS = 24;

const DAY_S = 86_400;
/** Memcached takes more than 30 days for a point in time: a few keys live longer than that. */
const VERY_LONG_S = 45 * DAY_S;
const HOUR_S = 3_600;

const FLAGS: Readonly<Record<Kind, number>> = {
  text: FLAG_TEXT,
  bytes: FLAG_BYTES,
  json: FLAG_JSON,
  number: FLAG_NUMBER,
};

/** Filler, of which a value takes a part. Some chars have two bytes, so that lengths in chars and in bytes differ. */
const TEXT = Array.from({ length: LARGE_BYTES / 50 }, (_, i) => `${"abcdefghijklmnopqrstuvwxyz ".repeat(2)}${i} é\r\n`)
  .join("")
  .slice(0, LARGE_BYTES + 1_024);
const BYTES = Buffer.from(Uint8Array.from({ length: LARGE_BYTES + 1_024 }, (_, i) => mix(i)));

/** The name of a key: mostly ASCII, one in ten not. */
export function keyOf(index: number): string {
  return index % 10 === 9 ? `démo:${index}` : `demo:${index}`;
}

export function counterOf(index: number): string {
  return `demo:counter:${index}`;
}

export function kindOf(index: number): Kind {
  const draw = mix(index) % 16;
  if (index < LARGE_KEYS || draw < 6) return "text";
  if (draw < 10) return "bytes";
  return draw < 14 ? "json" : "number";
}

/** The client flags that a key's item has on its server. */
export function flagsOf(index: number): number {
  return FLAGS[kindOf(index)];
}

/** Size of the filler: a few bytes to some KiB, and a few large ones. */
export function sizeOf(index: number): number {
  if (index < LARGE_KEYS) return LARGE_BYTES;
  const draw = mix(index + MAX_KEYS);
  const within = (low: number, high: number) => low + ((draw >>> 8) % (high - low));
  switch (draw % 10) {
    case 0:
      return within(1_000, 8_000);
    case 1:
    case 2:
    case 3:
      return within(100, 1_000);
    default:
      return within(4, 100);
  }
}

/** Seconds to live of a version; 0: never expires. None of them ends while the demo runs. */
export function ttlOf(index: number, version: number): number {
  const draw = mix(index + 7_919 * version);
  if (draw % 5 < 2) return 0;
  return draw % 5 === 4 && draw % 3 === 0 ? VERY_LONG_S : HOUR_S + ((draw >>> 8) % (5 * DAY_S));
}

export function contentOf(index: number, version: number): unknown {
  const size = sizeOf(index);
  const from = mix(index + 31 * version) % 1_024;
  switch (kindOf(index)) {
    case "text":
      return `${keyOf(index)} v${version}\n${TEXT.slice(from, from + size)}`;
    case "bytes":
      return Buffer.concat([Buffer.from(`${keyOf(index)} v${version}\n`), BYTES.subarray(from, from + size)]);
    case "json":
      return { key: keyOf(index), version, filler: TEXT.slice(from, from + size), tags: [index, null, true] };
    case "number":
      return version * MAX_KEYS + index;
  }
}

/** The version that a value read under a key says it is; undefined when it is no value of that key, whole and of the right type. */
export function versionOf(index: number, value: unknown): number | undefined {
  const version = claimedVersion(index, value);
  if (version === undefined || version < 1) return undefined;
  return isDeepStrictEqual(value, contentOf(index, version)) ? version : undefined;
}

function claimedVersion(index: number, value: unknown): number | undefined {
  switch (kindOf(index)) {
    case "text":
      return typeof value === "string" ? headerVersion(value.slice(0, 64)) : undefined;
    case "bytes":
      return Buffer.isBuffer(value) ? headerVersion(value.toString("utf8", 0, 64)) : undefined;
    case "json": {
      const version: unknown = (value as { version?: unknown } | null)?.version;
      return Number.isSafeInteger(version) ? (version as number) : undefined;
    }
    case "number":
      return Number.isSafeInteger(value) ? Math.floor((value as number) / MAX_KEYS) : undefined;
  }
}

function headerVersion(text: string): number | undefined {
  const version = / v(\d{1,9})\n/.exec(text)?.[1];
  return version === undefined ? undefined : Number(version);
}

/** A number that looks random, from 0 to 2^32 - 1 (the finalizer of MurmurHash3). */
function mix(seed: number): number {
  let hash = seed | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
