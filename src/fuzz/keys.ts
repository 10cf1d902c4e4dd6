/** Keys to try, and what has to become of them by the text of memcached's protocol, written apart from the client's own check. */
import type { Random } from "../model/random.ts";

/** Longest key, in bytes. */
const MAX_KEY_BYTES = 250;

const PROTOTYPE_NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "isPrototypeOf",
  "__defineGetter__",
  "__lookupSetter__",
  "then",
  "toJSON",
  "length",
];
const INJECTIONS = [
  "\r\nflush_all\r\n",
  "\nflush_all",
  " 0 0 1\r\nx\r\nflush_all\r\n",
  "\r\nms injected 1\r\nx\r\n",
  "\r\nset injected 0 0 1\r\nx\r\n",
  "\r\nquit\r\n",
  "\u0000",
  "\t",
  "\u000b",
  " T0",
  " v f c",
  " b",
  "\u007f",
  "\u2028",
  "\u00a0",
  "\u0085",
];
const PROTOCOL_WORDS = [
  "mn",
  "mg",
  "me",
  "ms",
  "get",
  "stats",
  "version",
  "verbosity",
  "shutdown",
  "EN",
  "VA",
  "HD",
  "-",
  "0",
];

/** Anything that a caller might give for a key; now and then no string at all. */
export function randomKey(random: Random): unknown {
  switch (random.weighted({ plain: 40, bytes: 15, unicode: 15, injected: 10, names: 6, long: 8, half: 4, other: 2 })) {
    case "plain":
      return text(random, random.int(1, 40), 0x21, 0x7e);
    case "bytes":
      return text(random, random.int(0, 30), 0, 255);
    case "unicode":
      return unicode(random, random.int(1, 30));
    case "injected":
      return (
        text(random, random.int(0, 20), 0x21, 0x7e) + random.pick(INJECTIONS) + text(random, random.int(0, 5), 97, 122)
      );
    case "names":
      return (
        random.pick(random.chance(0.5) ? PROTOTYPE_NAMES : PROTOCOL_WORDS) + text(random, random.int(0, 1) * 6, 97, 122)
      );
    case "long":
      return random.chance(0.5) ? text(random, random.int(240, 260), 0x21, 0x7e) : unicode(random, random.int(60, 130));
    case "half":
      return text(random, random.int(0, 9), 97, 122) + half(random) + text(random, random.int(0, 9), 97, 122);
    case "other":
      return random.pick<unknown>([
        undefined,
        null,
        7,
        7n,
        true,
        Symbol("key"),
        {},
        ["a"],
        Buffer.from("a"),
        () => "a",
      ]);
  }
}

/** True when memcached takes the key, in UTF-8 and behind the prefix, and it is not ringshift's own. */
export function isKey(key: unknown, prefix: string): key is string {
  if (typeof key !== "string" || key === "") return false;
  const bytes = Buffer.from(prefix + key, "utf8");
  if (bytes.length > MAX_KEY_BYTES || bytes.toString("utf8") !== prefix + key) return false; // half a pair becomes U+FFFD
  if (/^ringshift:(managed$|fence:)/.test(prefix + key)) return false;
  return bytes.every((byte) => byte > 0x20 && byte !== 0x7f);
}

/** So many characters with codes in a range. */
export function text(random: Random, length: number, low: number, high: number): string {
  let made = "";
  for (let i = 0; i < length; i++) made += String.fromCharCode(random.int(low, high));
  return made;
}

/** So many code points from all planes, whole ones. */
export function unicode(random: Random, length: number): string {
  let made = "";
  while (made.length < length) {
    const point = random.int(0x21, random.pick([0x7e, 0x7ff, 0xffff, 0x10ffff]));
    if (point < 0xd800 || point > 0xdfff) made += String.fromCodePoint(point);
  }
  return made;
}

function half(random: Random): string {
  return String.fromCharCode(random.int(0xd800, 0xdfff));
}
