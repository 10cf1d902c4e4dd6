/**
 * Where a key lies on the ring.
 *
 * What is hashed are the key's bytes as they travel. A *wire string* carries them with one char per byte (latin1), so that a parser can hand
 * keys on without knowing their encoding. Short ones are hashed here (short-md5.ts). For pure ASCII the wire string, the JS string and its
 * UTF-8 bytes are the same thing, which helps the longer ones: the one-shot `crypto.hash` costs a quarter of `createHash`, but takes a
 * string for UTF-8.
 */

import { hash } from "node:crypto";
import { RingshiftError } from "../errors.ts";
import { MAX_SHORT_MD5, shortMd5 } from "./short-md5.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: the whole ASCII range is meant
const ASCII = /^[\x00-\x7f]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the whole byte range is meant
const BYTES = /^[\x00-\xff]*$/;

/**
 * Position of a key on the ring: the first four bytes of md5, little-endian, as in ketama.
 *
 * @param wire the key's bytes as they travel, one char per byte; `wireKeyOf` makes it from a JS string
 * @returns an integer from 0 to 2^32 - 1
 * @throws INVALID_KEY when a char is no byte: the string was not encoded, and its owner would be wrong
 */
export function keyHash(wire: string): number {
  if (wire.length <= MAX_SHORT_MD5) {
    const short = shortMd5(wire);
    return short === -1 ? refuse(wire) : short;
  }
  const digest = hash("md5", ASCII.test(wire) ? wire : bytesOf(wire), "binary");
  return (
    (digest.charCodeAt(0) |
      (digest.charCodeAt(1) << 8) |
      (digest.charCodeAt(2) << 16) |
      (digest.charCodeAt(3) << 24)) >>>
    0
  );
}

/**
 * A JS string's UTF-8 bytes as a wire string: the string itself when it is ASCII.
 * Lone surrogates become U+FFFD, as in any UTF-8 encoder; keys that hold them are for the caller to refuse.
 */
export function wireKeyOf(key: string): string {
  return ASCII.test(key) ? key : Buffer.from(key, "utf8").toString("latin1");
}

function bytesOf(wire: string): Buffer {
  return BYTES.test(wire) ? Buffer.from(wire, "latin1") : refuse(wire);
}

function refuse(wire: string): never {
  throw new RingshiftError("INVALID_KEY", "a wire key has one char per byte: encode the key with wireKeyOf() first", {
    key: wire,
  });
}
