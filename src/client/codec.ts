/**
 * Values and the client flags that say what they are. The bits are those of the `memcached` package, so that its users read ours and we
 * read theirs:
 *
 *   0  text    2  JSON    4  bytes (Buffer)    8  number, in decimal, so that incr and decr work on it
 *
 * An item with flags that nobody here knows is answered as text when it has none of these bits.
 */
import { RingshiftError } from "../errors.ts";

export const FLAG_TEXT = 0;
export const FLAG_JSON = 2;
export const FLAG_BYTES = 4;
export const FLAG_NUMBER = 8;

/** A value's bytes and flags. */
export interface Encoded {
  readonly data: Buffer;
  readonly flags: number;
}

/** @throws RingshiftError INVALID_VALUE for what no flag can express */
export function encode(value: unknown, key: string): Encoded {
  switch (typeof value) {
    case "string":
      return { data: Buffer.from(value, "utf8"), flags: FLAG_TEXT };
    case "number":
      if (Number.isFinite(value)) return { data: Buffer.from(String(value), "latin1"), flags: FLAG_NUMBER };
      throw unstorable(key, `${value} is not a finite number`);
    case "boolean":
    case "object":
      if (Buffer.isBuffer(value)) return { data: value, flags: FLAG_BYTES };
      if (value instanceof Uint8Array) {
        return { data: Buffer.from(value.buffer, value.byteOffset, value.byteLength), flags: FLAG_BYTES };
      }
      return { data: Buffer.from(json(value, key), "utf8"), flags: FLAG_JSON };
    default:
      throw unstorable(
        key,
        `a ${typeof value} cannot be stored: use a string, number, boolean, Buffer, or what JSON expresses`,
      );
  }
}

/** @throws RingshiftError PROTOCOL_ERROR when the bytes are not what the flags say */
export function decode(data: Buffer, flags: number): unknown {
  if (flags & FLAG_BYTES) return data;
  const text = data.toString("utf8");
  if (flags & FLAG_NUMBER) return Number(text);
  if ((flags & FLAG_JSON) === 0) return text;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RingshiftError("PROTOCOL_ERROR", "The item's flags say JSON, its bytes are not.", { cause });
  }
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
  return new RingshiftError("INVALID_VALUE", `The value for ${JSON.stringify(key)}: ${why}.`, { key, cause });
}
