/** The commands of a client process, by kind of key, with their weights. */
import type { Verb } from "./history.ts";
import type { Kind } from "./keys.ts";

export type Commands = Readonly<Record<Kind, Readonly<Record<string, number>>>>;

export const COMMANDS: Commands = {
  v: { get: 8, gets: 3, set: 5, add: 2, replace: 1, cas: 3, delete: 2, getMulti: 1, setMulti: 0.4 },
  t: { get: 8, set: 1, append: 3, prepend: 1, delete: 0.7, add: 1 },
  n: { get: 6, incr: 6, decr: 1, delete: 0.2 },
  e: { get: 4, getMeta: 3, set: 3, touch: 2, gat: 2, delete: 0.5 },
};
/** Of those that prefer keys that are moving: what a move could bring back, or leave behind. */
export const STALKING: Commands = {
  v: { get: 3, set: 1, add: 1, delete: 3 },
  t: { get: 3, append: 2, set: 1, delete: 2 },
  n: { get: 2, incr: 3, delete: 2 },
  e: { get: 3, set: 1, delete: 2 },
};

/** What a command has to write; "" nothing. A counter starts at 0. */
export function textFor(verb: Verb, token: () => string): string {
  switch (verb) {
    case "touch":
    case "gat":
    case "delete":
      return "";
    case "incr":
    case "decr":
      return "0";
    default:
      return token();
  }
}
