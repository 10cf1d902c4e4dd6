/** What commands make of a value, in text: the simulated servers and the checker go by the same rules. */

const MODULUS = 2n ** 64n;

/**
 * `incr` and `decr` as memcached does them: 64 bits, wrapping up, stopping at 0. A result that is shorter than what was there is written in
 * place and filled up with blanks. Undefined: not a number.
 */
export function addDelta(text: string, delta: bigint, decrement: boolean): string | undefined {
  const digits = /^(\d{1,20})(?:\s|$)/.exec(text)?.[1];
  if (digits === undefined) return undefined;
  const number = BigInt(digits);
  const result = decrement ? (delta > number ? 0n : number - delta) : (number + delta) % MODULUS;
  return String(result).padEnd(text.length, " ");
}
