/**
 * The first words of replies, and the objects that replies become.
 *
 *     HD VA EN NF NS EX MN          meta protocol     two letters: told apart by both bytes as one number, no string is made
 *     STORED ... SERVER_ERROR       classic           looked up by their text
 *
 * `newReply` alone makes replies. One that says nothing but its word is not even made: everybody gets the same object (`BARE`).
 */
import type { Reply } from "./exchange.ts";

export type MutableReply = { -readonly [Field in keyof Reply]: Reply[Field] };

/** Words of more than two letters. The value says whether the rest of the line is kept as `message`. */
export const LONG_WORDS = new Map<string, boolean>([
  ["STORED", false],
  ["NOT_STORED", false],
  ["EXISTS", false],
  ["NOT_FOUND", false],
  ["OK", false],
  ["DELETED", false],
  ["TOUCHED", false],
  ["VERSION", true],
  ["ERROR", true],
  ["CLIENT_ERROR", true],
  ["SERVER_ERROR", true],
]);

/** Replies that say nothing but their word are all the same: one object each. */
export const BARE: ReadonlyMap<string, Reply> = new Map(
  ["HD", "EN", "NF", "NS", "EX", "MN", "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "OK", "DELETED", "TOUCHED"].map(
    (word) => [word, newReply(word)],
  ),
);

/** Every reply is made here, so that all of them have one hidden class. */
export function newReply(status: string): MutableReply {
  return {
    status,
    value: undefined,
    text: undefined,
    flags: undefined,
    cas: undefined,
    ttl: undefined,
    size: undefined,
    idle: undefined,
    hitBefore: undefined,
    won: false,
    stale: false,
    message: "",
  };
}

/** The word of these two bytes; undefined where it is none of the meta protocol's. */
export function shortWord(first: number, second: number): string | undefined {
  switch ((first << 8) | second) {
    case 0x4844:
      return "HD";
    case 0x5641:
      return "VA";
    case 0x454e:
      return "EN";
    case 0x4e46:
      return "NF";
    case 0x4e53:
      return "NS";
    case 0x4558:
      return "EX";
    case 0x4d4e:
      return "MN";
    default:
      return undefined;
  }
}
