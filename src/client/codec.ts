/**
 * Values and the client flags that say what they are. The low bits are those of the `memcached` package, so that its users read ours and
 * we read theirs:
 *
 *   bits 0-7     0 text    2 JSON    4 bytes (Buffer)    8 number, in decimal    24 bigint, in decimal (16, and 8 for those who know that)
 *   bits 16-17   0 as it is    1 zlib    2 brotli    3 zstd    (compress.ts)
 *
 * incr and decr work on numbers and bigints of 0 or more. Booleans and null are JSON. An item with flags that nobody here knows is
 * answered as text when it has none of these bits. A hook (`Serializer`) can take values and items out of this table's hands.
 */
import { isRingshiftError, RingshiftError, shown } from "../errors.ts";
import { PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import { type Compression, compress, decompress, FLAG_COMPRESSION } from "./compress.ts";

export const FLAG_TEXT = 0;
export const FLAG_JSON = 2;
export const FLAG_BYTES = 4;
export const FLAG_NUMBER = 8;
/** Together with `FLAG_NUMBER`. */
export const FLAG_BIGINT = 16;

/** A value's bytes and flags. */
export interface Encoded {
  readonly data: Buffer;
  readonly flags: number;
}

/** A hook for values that the table above does not express, or not as wanted: Date, Map, MessagePack, encryption. */
export interface Serializer {
  /**
   * The value's bytes, and client flags of the hook's choice with bits 16 and 17 unset, but for 0x52505048. Undefined: the default applies.
   * What is thrown rejects the call as INVALID_VALUE.
   */
  serialize(value: unknown): { readonly data: Uint8Array; readonly flags: number } | undefined;
  /** The value of an item, decompressed. Undefined: not the hook's, the default applies. What is thrown rejects the call as PROTOCOL_ERROR. */
  deserialize(data: Buffer, flags: number): unknown;
}

/** Values to items and back, with a client's hook and compression. */
export class Codec {
  readonly #serializer: Serializer | undefined;
  readonly #compression: Compression | undefined;

  constructor(serializer?: Serializer, compression?: Compression) {
    this.#serializer = serializer;
    this.#compression = compression;
  }

  /** This client compresses as a rule. Where it does not, items of others and of single calls may be compressed all the same. */
  get compresses(): boolean {
    return this.#compression !== undefined;
  }

  /** @throws RingshiftError INVALID_VALUE, INVALID_OPTION */
  encode(value: unknown, key: string, how?: Compression | boolean): Encoded {
    const plain = this.#serialize(value, key) ?? encode(value, key);
    const asked = how === undefined ? (this.#compression ?? false) : how;
    if (asked === false) return plain;
    return compress(plain, asked === true ? { ...this.#compression, threshold: 0 } : asked);
  }

  /** @throws RingshiftError PROTOCOL_ERROR when the bytes are not what the flags say */
  decode(data: Buffer, flags: number): unknown {
    if (this.#serializer === undefined) return decode(data, flags);
    const plain = decompress(data, flags);
    let value: unknown;
    try {
      value = this.#serializer.deserialize(plain, flags & ~FLAG_COMPRESSION);
    } catch (cause) {
      throw new RingshiftError("PROTOCOL_ERROR", "The serializer could not read the item.", { cause });
    }
    return value === undefined ? decode(plain, flags & ~FLAG_COMPRESSION) : value;
  }

  /** What `decode` makes of such an item it makes of its UTF-8 text alone, by `decodeText`. */
  readonly readsText = (flags: number): boolean =>
    (flags & (FLAG_BYTES | FLAG_COMPRESSION)) === 0 && this.#serializer === undefined;

  /** `decode` for an item that `readsText`. @throws RingshiftError PROTOCOL_ERROR */
  decodeText(text: string, flags: number): unknown {
    return decodeText(text, flags);
  }

  /** A string's item is its UTF-8 bytes, with `FLAG_TEXT`. @param how as for `encode` */
  keepsText(how?: Compression | boolean): boolean {
    return this.#serializer === undefined && (how === false || (how === undefined && this.#compression === undefined));
  }

  #serialize(value: unknown, key: string): Encoded | undefined {
    if (this.#serializer === undefined) return undefined;
    let made: ReturnType<Serializer["serialize"]>;
    try {
      made = this.#serializer.serialize(value);
    } catch (cause) {
      throw isRingshiftError(cause) ? cause : unstorable(key, "the serializer refused it", cause);
    }
    if (made === undefined) return undefined;
    if (!(made?.data instanceof Uint8Array))
      throw unstorable(key, "the serializer did not answer { data, flags } with bytes");
    const { data, flags } = made;
    if (typeof flags !== "number" || flags >>> 0 !== flags || flags & FLAG_COMPRESSION) {
      throw unstorable(key, `the serializer's flags ${shown(flags)} are not 32 bits with bits 16 and 17 unset`);
    }
    // a value that zstd has made smaller would be a placeholder, which no read answers
    if ((flags | FLAG_COMPRESSION) === PLACEHOLDER_FLAGS) {
      throw unstorable(key, `the serializer's flags ${flags} are ringshift's own: choose others`);
    }
    return { data: Buffer.from(data.buffer, data.byteOffset, data.byteLength), flags };
  }
}

/** @throws RingshiftError INVALID_VALUE for what no flag can express */
export function encode(value: unknown, key: string): Encoded {
  switch (typeof value) {
    case "string":
      if (!isWellFormed(value)) throw unstorable(key, "it holds half of a surrogate pair, which UTF-8 cannot express");
      return { data: Buffer.from(value, "utf8"), flags: FLAG_TEXT };
    case "number":
      if (Number.isFinite(value)) return { data: Buffer.from(String(value), "latin1"), flags: FLAG_NUMBER };
      throw unstorable(key, `${value} is not a finite number`);
    case "bigint":
      return { data: Buffer.from(String(value), "latin1"), flags: FLAG_NUMBER | FLAG_BIGINT };
    case "boolean":
    case "object":
      if (Buffer.isBuffer(value)) return { data: value, flags: FLAG_BYTES };
      if (value instanceof Uint8Array) {
        return { data: Buffer.from(value.buffer, value.byteOffset, value.byteLength), flags: FLAG_BYTES };
      }
      if (typeof value === "object" && value !== null) refuseEmptied(value, key);
      return { data: Buffer.from(json(value, key), "utf8"), flags: FLAG_JSON };
    default:
      throw unstorable(
        key,
        `a ${typeof value} cannot be stored: use a string, number, bigint, boolean, null, Buffer, or what JSON expresses`,
      );
  }
}

/** @throws RingshiftError PROTOCOL_ERROR when the bytes are not what the flags say */
export function decode(data: Buffer, flags: number): unknown {
  if (flags === FLAG_TEXT) return data.toString("utf8");
  const plain = flags & FLAG_COMPRESSION ? decompress(data, flags) : data;
  if (flags & FLAG_BYTES) return plain;
  return decodeText(plain.toString("utf8"), flags);
}

function decodeText(text: string, flags: number): unknown {
  if (flags === FLAG_TEXT) return text;
  if ((flags & FLAG_NUMBER) !== 0) return flags & FLAG_BIGINT ? bigintOf(text) : numberOf(text);
  if ((flags & FLAG_JSON) === 0) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RingshiftError("PROTOCOL_ERROR", "The item's flags say JSON, its bytes are not.", { cause });
  }
}

/** What `String(number)` makes, for the `memcached` package NaN and the infinities too; decr leaves blanks behind a number that got shorter. */
const NUMBER = /^(?:-?(?:\d+(?:\.\d+)?(?:e[+-]\d+)?|Infinity)|NaN) *$/;
const WHOLE = /^-?\d+ *$/;

/** `Number` and `BigInt` read blanks, hexadecimals and the empty text as well. */
function numberOf(text: string): number {
  if (NUMBER.test(text)) return Number(text);
  throw new RingshiftError("PROTOCOL_ERROR", "The item's flags say number, its bytes are not.");
}

function bigintOf(text: string): bigint {
  if (WHOLE.test(text)) return BigInt(text);
  throw new RingshiftError("PROTOCOL_ERROR", "The item's flags say bigint, its bytes are not.");
}

/** ES2024, of which Node has this from its version 20 on. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

const BYTES = "give its bytes, Buffer.from(value.buffer, value.byteOffset, value.byteLength)";
const SERIALIZE = "turn it into an array or a plain object, or give the client a serializer";
/** What JSON makes `{}` of, or an object of numbered fields, by its tag; and what to do instead. */
const EMPTIED: Readonly<Record<string, string>> = {
  Map: SERIALIZE,
  Set: SERIALIZE,
  WeakMap: "it cannot be stored",
  WeakSet: "it cannot be stored",
  WeakRef: "it cannot be stored",
  Error: "store its message, or give the client a serializer",
  Promise: "await it first",
  RegExp: "store its source, or give the client a serializer",
  ArrayBuffer: "give its bytes, Buffer.from(value)",
  SharedArrayBuffer: "give its bytes, Buffer.from(value)",
};

/** At the top only, as JSON itself would go on. @throws RingshiftError INVALID_VALUE */
function refuseEmptied(value: object, key: string): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === Array.prototype) return; // nearly all are
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return;
  const tag = Object.prototype.toString.call(value).slice("[object ".length, -1);
  const advice = ArrayBuffer.isView(value) ? BYTES : Object.hasOwn(EMPTIED, tag) ? EMPTIED[tag] : undefined;
  if (advice !== undefined) throw unstorable(key, `JSON would lose what is in ${articleOf(tag)} ${tag}: ${advice}`);
}

function articleOf(word: string): string {
  return /^[AEIO]/.test(word) ? "an" : "a";
}

function json(value: unknown, key: string): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw unstorable(key, "JSON cannot express it", cause);
  }
  if (text === undefined) throw unstorable(key, "JSON cannot express it");
  return text;
}

function unstorable(key: string, why: string, cause?: unknown): RingshiftError {
  const name = typeof key === "string" ? JSON.stringify(key) : `a ${typeof key}`; // a key is checked later
  return new RingshiftError("INVALID_VALUE", `The value for ${name}: ${why}.`, { key, cause });
}
