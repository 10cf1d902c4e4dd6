/**
 * Keys as they go over the wire, checked before any I/O: a client without this check runs `flush_all` out of a key.
 *
 * A *text key* has no blanks and control characters and is sent as it is. A *binary key*, where a client allows them, has some, and goes in
 * base64 with the meta protocol's flag `b`; memcached stores it decoded. Everywhere else (ring, index, metadump) both are their bytes.
 */
import { isUtf8 } from "node:buffer";
import { RingshiftError, shown } from "../errors.ts";

/** Longest key a memcached takes, in bytes, prefix included. */
export const MAX_KEY_BYTES = 250;
/** Longest binary key, in bytes: memcached counts the 248 of its base64. */
export const MAX_BINARY_KEY_BYTES = 186;
/** First part of the key of every fence item; the cluster's namespace follows. */
export const FENCE_KEY_PREFIX = "ringshift:fence:";
/** Key of the item that marks a server as managed by a ringshift cluster, the same for all namespaces. */
export const MANAGED_KEY = "ringshift:managed";

const PLAIN = /^[\x21-\x7e]{1,250}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const FORBIDDEN_BYTE = /[\x00-\x20\x7f]/;
const NO_BYTE = /[^\0-\xff]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Begins keys that are bytes, one a char. No text does: it is half a surrogate pair. */
const BYTES_MARK = "\udfffbytes:";

/** The key that was last found to be text: the commands on it follow at once. */
let lastText = "";

/** False for a binary key. */
export function isTextKey(wire: string): boolean {
  return wire === lastText || !FORBIDDEN_BYTE.test(wire);
}

/**
 * A key of any bytes that memcached takes, also where they are no UTF-8: the string stands for them in every call. Where they are UTF-8 it is
 * the text itself.
 */
export function keyOfBytes(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer) ? buffer.toString("utf8") : BYTES_MARK + buffer.toString("latin1");
}

/** The key fits a memcached by its bytes, prefix included. */
export function keyFits(prefix: string, key: string, binary: boolean): boolean {
  const bytes = Buffer.byteLength(key, "utf8") + prefix.length;
  return bytes <= (binary && FORBIDDEN_BYTE.test(key) ? MAX_BINARY_KEY_BYTES : MAX_KEY_BYTES);
}

/**
 * The wire form of a key: the UTF-8 bytes of prefix and key as a latin1 string, one char a byte. An ASCII key is its own wire form.
 * @param binary blanks and control characters are allowed
 * @throws RingshiftError INVALID_KEY when it is no string, not well-formed Unicode, empty, over 250 bytes (186 where it is a binary key),
 * reserved, or holds blanks or control characters that are not allowed.
 */
export function toWireKey(prefix: string, key: string, binary = false): string {
  if (typeof key !== "string") throw invalid(shown(key), `a key must be a string, not ${describeType(key)}`);
  const text = prefix === "" || key === "" ? key : prefix + key; // a prefix alone would pass for a key
  const plain = PLAIN.test(text);
  const wire = plain ? text : encode(prefix, text, key, binary);
  if (plain) lastText = wire;
  // "r": nearly every key is told apart from the reserved ones by its first char.
  if (wire.charCodeAt(0) === 0x72 && (wire === MANAGED_KEY || wire.startsWith(FENCE_KEY_PREFIX))) {
    throw invalid(key, `the key is reserved: "${MANAGED_KEY}" and "${FENCE_KEY_PREFIX}..." belong to ringshift itself`);
  }
  return wire;
}

/** The slow path: keys that are not plain ASCII, and keys that are refused. */
function encode(prefix: string, text: string, key: string, binary: boolean): string {
  if (text === "") throw invalid(key, "the key is empty");
  const wire = key.startsWith(BYTES_MARK) ? utf8(prefix, key) + bytesOf(key) : utf8(text, key);
  if (wire.length > MAX_KEY_BYTES) {
    throw invalid(key, `the key has ${wire.length} bytes with its prefix; the limit is ${MAX_KEY_BYTES}`);
  }
  const bad = FORBIDDEN_BYTE.exec(wire);
  if (bad !== null && binary) {
    if (wire.length <= MAX_BINARY_KEY_BYTES) return wire;
    throw invalid(
      key,
      `the key has ${wire.length} bytes with its prefix; the limit is ${MAX_BINARY_KEY_BYTES} where some are blanks or control characters`,
    );
  }
  if (bad !== null) {
    const byte = bad[0].charCodeAt(0).toString(16).padStart(2, "0");
    throw invalid(
      key,
      `the key holds the byte 0x${byte} at position ${bad.index}: blanks and control characters are not allowed (binaryKeys: "base64" allows them)`,
    );
  }
  return wire;
}

/** What `keyOfBytes` made. @throws RingshiftError INVALID_KEY */
function bytesOf(key: string): string {
  const bytes = key.slice(BYTES_MARK.length);
  if (!NO_BYTE.test(bytes) && !isUtf8(Buffer.from(bytes, "latin1"))) return bytes;
  throw invalid(key, "the key is neither well-formed Unicode nor made by keyOfBytes");
}

/** @throws RingshiftError INVALID_KEY */
function utf8(text: string, key: string): string {
  if (LONE_SURROGATE.test(text))
    throw invalid(key, "the key is not well-formed Unicode: it holds half of a surrogate pair");
  return Buffer.from(text, "utf8").toString("latin1");
}

function describeType(value: unknown): string {
  return value === null ? "null" : typeof value;
}

function invalid(key: string, message: string): RingshiftError {
  return new RingshiftError("INVALID_KEY", message, { key });
}
