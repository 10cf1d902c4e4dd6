/**
 * A token bucket of at most some milliseconds' worth: enough to make up for a late timer. What a longer standstill has cost is not made up for, since
 * a machine that kept the copier from its work is as busy with the servers.
 */
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
    await this.#clock.sleep(this.#freeAt - now, signal);
  }
}
