/**
 * Names of options, and times, checked for callers without types: a misspelt name that is passed over does something else than was asked for,
 * and a timer that is told more than it takes goes off at once.
 */
import { invalidOption, shown } from "./errors.ts";
import { nearest } from "./suggest.ts";

/** What a timer takes. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
/** What an answer may be waited for: far below what a timer takes, since some waits are a multiple of it. */
const MAX_WAIT_MS = 86_400_000;

/** @param what begins the message: `createClient`, `A server` @throws RingshiftError INVALID_OPTION */
export function requireKnown(what: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `it has ${known.join(", ")}.` : `did you mean ${near}?`;
    throw invalidOption(`${what} knows no option ${name}; ${hint}`);
  }
}

/** A time to wait, where one is given, up to a day or `mostMs`. @throws RingshiftError INVALID_OPTION */
export function requireMilliseconds(name: string, value: number | undefined, mostMs = MAX_WAIT_MS): void {
  if (value === undefined) return;
  if (!(Number.isFinite(value) && value > 0)) {
    throw invalidOption(`${name} is a number of milliseconds above 0, not ${shown(value)}.`);
  }
  if (value > mostMs) throw invalidOption(`${name} is at most ${mostMs} milliseconds, not ${value}.`);
}
