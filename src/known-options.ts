/** Names of options, checked for callers without types: a misspelt one that is passed over does something else than was asked for. */
import { invalidOption } from "./errors.ts";
import { nearest } from "./suggest.ts";

/** @param what begins the message: `createClient`, `A server` @throws RingshiftError INVALID_OPTION */
export function requireKnown(what: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const hint = near === undefined ? `it has ${known.join(", ")}.` : `did you mean ${near}?`;
    throw invalidOption(`${what} knows no option ${name}; ${hint}`);
  }
}
