/**
 * A token bucket of at most some milliseconds' worth: enough to make up for a late timer. What a longer standstill has cost is not made up for, since
 * a machine that kept the copier from its work is as busy with the servers.
 */
import { MAX_TIMER_MS } from "../known-options.ts";
import type { Clock } from "../protocol/clock.ts";

const BURST_S = 0.02;

export class RateLimit {
  readonly #clock: Clock;
  readonly #perSecond: number | undefined;
  #freeAt: number;

  /** @param perSecond undefined: no limit */
  constructor(clock: Clock, perSecond: number | undefined) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#freeAt = clock.now();
  }

  /** Resolves when `count` more may begin, or when the signal is aborted. */
  async take(count: number, signal?: AbortSignal): Promise<void> {
    if (this.#perSecond === undefined) return;
    const now = this.#clock.now();
    this.#freeAt = Math.max(this.#freeAt, now - BURST_S * 1000) + (count / this.#perSecond) * 1000;
    if (this.#freeAt <= now) return;
    await unlessAborted(this.#clock.sleep(Math.min(this.#freeAt - now, MAX_TIMER_MS)), signal);
  }
}

/** The signal has to serve for a whole migration, so the listener goes again: by hand, since an AbortController made an error with a stack each time. */
function unlessAborted(sleep: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return sleep;
  return new Promise((resolve) => {
    const over = () => {
      signal.removeEventListener("abort", over);
      resolve();
    };
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", over);
    void sleep.then(over);
  });
}
