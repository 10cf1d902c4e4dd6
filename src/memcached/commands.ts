/**
 * Builders of the commands ringshift sends, from wire keys (`toWireKey`). Nothing else writes request lines.
 *
 * `exptime` and `ttl` are what `exptimeOf` returns. CAS numbers are decimal text as they stand in a Reply. A line that memcached refuses
 * as malformed can leave its data block to be read as commands, so whatever is not known to be a number in range is checked here.
 * Binary keys (key.ts) go in base64 with the flag `b`, which the classic commands do not have: for them those are their meta likes.
 * Source: doc/protocol.txt of memcached 1.6.18.
 */
import { RingshiftError } from "../errors.ts";
import type { Command, Reply } from "./exchange.ts";
import { isTextKey } from "./key.ts";
import { TextCommand } from "./text-block.ts";

/** Client flags of a placeholder: "RSPH". An item with these flags is a placeholder whatever its length. */
export const PLACEHOLDER_FLAGS = 0x52535048;
/** Commands in one flush, the fence get included. */
export const MAX_FLUSH_COMMANDS = 64;
/** Bytes in one flush, the fence get included, unless a single exchange is larger. */
export const MAX_FLUSH_BYTES = 256 * 1024;
/**
 * Bytes of the replies to one flush, as far as they can be guessed. A flush is settled as a whole, by its fence: with twenty values of 256 KiB
 * in it they are all held until the last has come, and their callers ask for nothing meanwhile. Values below 4 KiB fill a flush before this does.
 */
export const MAX_FLUSH_REPLY_BYTES = 256 * 1024;
/** From here on memcached takes an expiry for an absolute time. */
export const MAX_RELATIVE_TTL_S = 2_592_000;

/** Expiry fields are signed 32-bit numbers; a larger one is refused as malformed. */
const MAX_EXPTIME = 0x7fff_ffff;
const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/**
 * The expiry field for a time to live: 0 is never, fractions are rounded up, more than 30 days becomes an absolute time, and what lies
 * beyond 2038 is 2038 (the field has 31 bits).
 * @param ttlSeconds remaining time; negative is expired already (-1).
 * @param nowSeconds Unix time.
 * @throws RingshiftError INVALID_TTL when it is not finite.
 */
export function exptimeOf(ttlSeconds: number, nowSeconds: number): number {
  if (!Number.isFinite(ttlSeconds))
    throw new RingshiftError("INVALID_TTL", `the TTL is not a finite number: ${ttlSeconds}`);
  if (ttlSeconds < 0) return -1;
  const whole = Math.ceil(ttlSeconds);
  if (whole <= MAX_RELATIVE_TTL_S) return whole;
  return Math.min(Math.ceil(nowSeconds + ttlSeconds), MAX_EXPTIME);
}

/** `mg`: flags as in the protocol text, for example `"v t f c"`. Without any, `HD` says that the item is there. */
export function metaGet(key: string, flags = "", text = isTextKey(key)): Command {
  const name = named(key, text);
  return command(flags === "" ? `mg ${name}` : `mg ${name} ${flags}`);
}

/** `mg T`: gives the item a new expiry, and reads what `flags` ask for. Does not change its CAS. */
export function metaTouch(key: string, ttl: number, flags = ""): Command {
  const name = named(key);
  return command(flags === "" ? `mg ${name} T${integer(ttl)}` : `mg ${name} T${integer(ttl)} ${flags}`);
}

export interface MetaSetOptions {
  /** S set (the default), E add, R replace, A append, P prepend. */
  readonly mode?: "S" | "E" | "R" | "A" | "P" | undefined;
  /** Client flags, 32 bits. */
  readonly flags: number;
  /** Expiry field, see `exptimeOf`. */
  readonly ttl: number;
  /** Store only over the item with this CAS. */
  readonly cas?: string | undefined;
  /** Answer the stored item's CAS. */
  readonly returnCas?: boolean | undefined;
}

/** `ms`; data as a string is ASCII (`isAscii`). Beware: when it fails for lack of memory or size, memcached deletes the item that was there. */
export function metaSet(key: string, data: Buffer | string, options: MetaSetOptions, text = isTextKey(key)): Command {
  const name = text ? `${key} ${data.length}` : `${base64(key)} ${data.length} b`;
  let line = `ms ${name} T${integer(options.ttl)} F${uint32(options.flags)}`;
  if (options.mode !== undefined && options.mode !== "S") line += ` M${options.mode}`;
  if (options.cas !== undefined) line += ` C${casNumber(options.cas)}`;
  if (options.returnCas === true) line += " c";
  return typeof data === "string" ? new TextCommand(line, data) : { line, data, text: undefined };
}

export interface MetaDeleteOptions {
  /** Delete only the item with this CAS. */
  readonly cas?: string | undefined;
  /** Mark the item stale instead of deleting it, with this expiry field. */
  readonly staleTtl?: number | undefined;
}

/** `md`. */
export function metaDelete(key: string, options: MetaDeleteOptions = {}, text = isTextKey(key)): Command {
  let line = `md ${named(key, text)}`;
  if (options.cas !== undefined) line += ` C${casNumber(options.cas)}`;
  if (options.staleTtl !== undefined) line += ` I T${integer(options.staleTtl)}`;
  return command(line);
}

export interface MetaArithmeticOptions {
  /** How much, 0 to 2^64-1. */
  readonly delta: bigint | number;
  readonly decrement?: boolean | undefined;
  /** Count only on the item with this CAS. */
  readonly cas?: string | undefined;
}

/** `ma`: answers `VA` with the new value in decimal; wraps at 2^64, stops at 0. A non-numeric item is `CLIENT_ERROR`. */
export function metaArithmetic(key: string, options: MetaArithmeticOptions): Command {
  let line = `ma ${named(key)} D${uint64(options.delta)} v`;
  if (options.decrement === true) line += " MD";
  if (options.cas !== undefined) line += ` C${casNumber(options.cas)}`;
  return command(line);
}

/** `mn`: answers `MN` and nothing else. */
export function metaNoop(): Command {
  return command("mn");
}

/** Classic `add`: stores if nothing is there. A failure leaves what was there; on a binary key it is an `ms`, with its words and its failure. */
export function classicAdd(key: string, flags: number, exptime: number, data: Buffer, text = isTextKey(key)): Command {
  if (!text) return metaSet(key, data, { mode: "E", flags, ttl: exptime });
  return { line: `add ${key} ${uint32(flags)} ${integer(exptime)} ${data.length}`, data };
}

/** Classic `set`. */
export function classicSet(key: string, flags: number, exptime: number, data: Buffer): Command {
  return { line: `set ${key} ${uint32(flags)} ${integer(exptime)} ${data.length}`, data };
}

/** Classic `cas`: the one conditional store that leaves the item when the new value is too large. On a binary key it is an `ms`. */
export function classicCas(
  key: string,
  flags: number,
  exptime: number,
  cas: string,
  data: Buffer,
  text = isTextKey(key),
): Command {
  if (!text) return metaSet(key, data, { cas, flags, ttl: exptime });
  return { line: `cas ${key} ${uint32(flags)} ${integer(exptime)} ${data.length} ${casNumber(cas)}`, data };
}

/** `classicAdd` or `classicCas` has stored. */
export function isStored({ status }: Reply): boolean {
  return status === "STORED" || status === "HD";
}

/** Classic `append`: keeps the item's flags and expiry. */
export function classicAppend(key: string, data: Buffer): Command {
  return { line: `append ${key} 0 0 ${data.length}`, data };
}

/** Classic `prepend`: keeps the item's flags and expiry. */
export function classicPrepend(key: string, data: Buffer): Command {
  return { line: `prepend ${key} 0 0 ${data.length}`, data };
}

/** The key as a meta command has it, with its flag. */
function named(key: string, text = isTextKey(key)): string {
  return text ? key : `${base64(key)} b`;
}

function base64(key: string): string {
  return Buffer.from(key, "latin1").toString("base64");
}

function command(line: string): Command {
  return { line, data: undefined, text: undefined };
}

function integer(value: number): number {
  // `| 0` is the value itself for exactly the signed 32-bit integers.
  if ((value | 0) !== value) throw new RingshiftError("INVALID_TTL", `not an expiry field: ${value}; see exptimeOf`);
  return value;
}

function uint32(value: number): number {
  if (value >>> 0 !== value)
    throw new RingshiftError("INVALID_OPTION", `client flags are an unsigned 32-bit number, not ${value}`);
  return value;
}

function uint64(value: bigint | number): bigint | number {
  const fits = typeof value === "bigint" ? value >= 0n && value <= MAX_U64 : Number.isSafeInteger(value) && value >= 0;
  if (!fits) throw new RingshiftError("INVALID_OPTION", `the delta is a whole number from 0 to 2^64-1, not ${value}`);
  return value;
}

function casNumber(cas: string): string {
  if (!/^\d{1,20}$/.test(cas)) throw new RingshiftError("INVALID_OPTION", `not a CAS number: ${JSON.stringify(cas)}`);
  return cas;
}
