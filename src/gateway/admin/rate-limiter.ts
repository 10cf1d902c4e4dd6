/** A token bucket per address: so many a second, twice as many at once. Bounded in addresses; the clock comes in with the call. */

const MAX_ADDRESSES = 10_000;
const BURST_SECONDS = 2;

interface Bucket {
  left: number;
  at: number;
}

export class RateLimiter {
  readonly #perSecond: number;
  readonly #buckets = new Map<string, Bucket>(); // least recently seen first

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** False when the address has had its share. */
  take(address: string, nowMs: number): boolean {
    const most = this.#perSecond * BURST_SECONDS;
    const bucket = this.#buckets.get(address) ?? { left: most, at: nowMs };
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > MAX_ADDRESSES) this.#buckets.delete(this.#buckets.keys().next().value!);
    bucket.left = Math.min(most, bucket.left + ((nowMs - bucket.at) / 1000) * this.#perSecond);
    bucket.at = nowMs;
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}
