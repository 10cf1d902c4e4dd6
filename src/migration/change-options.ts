/** The options of a change, checked for callers without types: a rate of 0 would hold the copier up for ever. */
import { invalidOption, shown } from "../errors.ts";
import { requireKnown } from "../known-options.ts";
import type { ChangeOptions } from "./coordinator.ts";

/** Keys a second. A copier's batches and looks together wait for up to some 500 keys, and a timer of more than 2^31 ms (25 days) fires at once. */
export const MIN_RATE = 0.001;

const KNOWN = ["flush", "adopt", "force", "access", "onProgress", "rate", "signal"] satisfies (keyof ChangeOptions)[];

/** @param call begins the messages: `apply` @throws RingshiftError INVALID_OPTION */
export function checkChangeOptions(call: string, options: ChangeOptions): void {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(`${call} takes its options as an object: { rate: 10000 }, not ${shown(options)}.`);
  }
  requireKnown(call, options, KNOWN);
  for (const name of ["flush", "adopt", "force"] as const) {
    const value: unknown = options[name];
    if (value !== undefined && typeof value !== "boolean") {
      throw invalidOption(`${name} is true or false, not ${shown(value)}.`);
    }
  }
  const { rate, onProgress, signal } = options;
  if (rate !== undefined && !(Number.isFinite(rate) && rate >= MIN_RATE)) {
    throw invalidOption(`rate is a number of keys a second, ${MIN_RATE} at least, not ${shown(rate)}.`);
  }
  if (onProgress !== undefined && typeof onProgress !== "function") throw invalidOption("onProgress is a function.");
  // another realm's AbortSignal is none of this one's
  if (signal !== undefined && typeof signal?.addEventListener !== "function")
    throw invalidOption("signal is an AbortSignal.");
}
