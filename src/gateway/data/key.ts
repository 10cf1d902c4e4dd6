/**
 * The key in a path: one segment, percent-encoded; UTF-8 or any other bytes. Whatever could be read in two ways on its way here (by a proxy, a browser, a
 * client's URL class) is refused before any server command: `/` and `\` unencoded, segments `.` and `..` in any spelling.
 */
import { RingshiftError } from "../../errors.ts";
import { keyOfBytes, MAX_KEY_BYTES } from "../../memcached/key.ts";

/** A key that stands in its path as it is; without dots, which could be a segment `..`. */
const PLAIN = /^[\w~!$&'()*+,;=:@-]{1,250}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const BLANK = /[\x00-\x20\x7f]/;
/** Three characters an encoded byte, and the slash before it. */
const MAX_PATH = 1 + 3 * MAX_KEY_BYTES;

/** The key of a target that has nothing to decode and nothing to doubt; undefined: ask `keyOf`. */
export function plainKeyOf(target: string): string | undefined {
  const segment = target.slice(1);
  return target.startsWith("/") && PLAIN.test(segment) ? segment : undefined;
}

/**
 * The key that a request target names. Its bytes are the client's to check.
 * @param target path and query, as sent
 * @throws RingshiftError INVALID_KEY
 */
export function keyOf(target: string): string {
  const end = target.indexOf("?");
  const segment = target.slice(1, end === -1 ? undefined : end);
  if (PLAIN.test(segment)) return segment;
  if (segment.length >= MAX_PATH) throw invalid(`is longer than ${MAX_KEY_BYTES} bytes`);
  if (/[^\x21-\x7e]/.test(segment)) throw invalid("holds a character that has to be percent-encoded");
  if (/[/\\#]/.test(segment)) throw invalid("is one path segment: write / as %2F, \\ as %5C, # as %23");
  const key = decode(segment);
  checkKey(key);
  return key;
}

/** What every key of the data port has to be, whichever way it came. @throws RingshiftError INVALID_KEY */
export function checkKey(key: string): void {
  if (BLANK.test(key)) throw invalid("holds a blank or a control character");
  if (key.includes(".") && key.split(/[/\\]/).some((part) => part === "." || part === "..")) {
    throw invalid("has a segment . or .., which programs between us would resolve as a path");
  }
}

/** The keys that `?key=` names, decoded as a path's: bytes that are no UTF-8 are the key of those bytes. @throws RingshiftError INVALID_KEY */
export function keysOfQuery(target: string): string[] {
  const from = target.indexOf("?");
  const parameters = from === -1 ? [] : target.slice(from + 1).split("&");
  return parameters
    .filter((parameter) => /^key(?:=|$)/.test(parameter))
    .map((parameter) => decode(parameter.slice("key=".length).replaceAll("+", " ")));
}

function decode(segment: string): string {
  if (!segment.includes("%")) return segment;
  if (/%(?![\da-f]{2})/i.test(segment)) throw invalid("has a % without two hexadecimal digits: write % as %25");
  const bytes = segment.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
  return keyOfBytes(Buffer.from(bytes, "latin1"));
}

/** The key itself stays out of the message: it may be anything. */
function invalid(why: string): RingshiftError {
  return new RingshiftError("INVALID_KEY", `The key ${why}.`);
}
