/** What the data port has answered, in numbers that only grow. Plain counters: this runs for every request. */

/** Upper bounds of the latency buckets, in seconds. */
export const LATENCY_BOUNDS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "DELETE"]);

/** Answers to one method. */
export interface MethodTraffic {
  /** By status. */
  readonly answers: ReadonlyMap<number, number>;
  /** Answers that took no longer than each bound, and no shorter than the one before; the last are slower than all. */
  readonly buckets: readonly number[];
  readonly seconds: number;
}

interface Counts {
  readonly answers: Map<number, number>;
  readonly buckets: number[];
  seconds: number;
}

export class Traffic {
  readonly #methods = new Map<string, Counts>();
  #hits = 0;
  #misses = 0;

  /** An answer; `batch`: about many keys, of which each may be there or not. Methods that are none of ours are one: labels have to be few. */
  count(method: string, status: number, ms: number, batch = false): void {
    const name = METHODS.has(method) ? method : "other";
    let counts = this.#methods.get(name);
    if (counts === undefined) {
      counts = { answers: new Map(), buckets: new Array<number>(LATENCY_BOUNDS_S.length + 1).fill(0), seconds: 0 };
      this.#methods.set(name, counts);
    }
    counts.answers.set(status, (counts.answers.get(status) ?? 0) + 1);
    const seconds = ms / 1000;
    counts.seconds += seconds;
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS_S.length && seconds > LATENCY_BOUNDS_S[bucket]!) bucket++;
    counts.buckets[bucket]!++;
    if (batch || (method !== "GET" && method !== "HEAD")) return;
    if (status === 200 || status === 304) this.#hits++;
    else if (status === 404) this.#misses++;
  }

  get methods(): ReadonlyMap<string, MethodTraffic> {
    return this.#methods;
  }

  /** Hits and misses are those of single reads. */
  get totals(): { requests: number; hits: number; misses: number; errors: number } {
    const totals = { requests: 0, hits: this.#hits, misses: this.#misses, errors: 0 };
    for (const { answers } of this.#methods.values()) {
      for (const [status, count] of answers) {
        totals.requests += count;
        if (status >= 500) totals.errors += count;
      }
    }
    return totals;
  }
}
