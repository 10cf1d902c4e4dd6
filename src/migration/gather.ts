/**
 * Keys on their way into batches: those of one pair of servers go together, whichever sets they come from, so that every exchange is full.
 *
 *     set ─► page ─► open batch of A1 → B ──full──┐
 *                    open batch of A2 → B ────────┼─► waiting ─► at most CONCURRENCY at work
 *                    ...                          │
 *     end of the pass: all open ones ─────────────┘
 *
 * A batch begins small and doubles with each that went well, up to a limit that the caller moves with the size of the values; of those that
 * wait a larger one is divided when it begins. The first batch is alone, and each that ends lets one more begin: how large values are is not
 * known before. What is held in memory are CONCURRENCY batches of values, and the keys of the pages at hand.
 */

/**
 * Batches at work at the same time: while one waits for a server, another one's commands are made. Enough for the servers to have work while
 * the copier collects garbage: with six batches of 252 keys a key took 1.25 times the servers' CPU time, with ten of 504 1.18.
 */
const CONCURRENCY = 10;
/** Keys of the first batch. */
const FIRST_KEYS = 31;

export class Gatherer<Key> {
  readonly #pairOf: (key: Key) => number;
  readonly #work: (keys: readonly Key[]) => Promise<void>;
  readonly #limit: () => number;
  readonly #open = new Map<number, Key[]>();
  readonly #waiting: (readonly Key[])[] = [];
  readonly #failures: unknown[] = [];
  #size = FIRST_KEYS;
  #working = 0;
  #ended = 0;
  #changed: (() => void)[] = [];

  /**
   * @param pairOf keys with the same answer may share a batch
   * @param limit keys of a batch at most, now
   */
  constructor(pairOf: (key: Key) => number, work: (keys: readonly Key[]) => Promise<void>, limit: () => number) {
    this.#pairOf = pairOf;
    this.#work = work;
    this.#limit = limit;
  }

  /** Takes the keys; resolves when more are welcome. @throws what a batch has failed with */
  async add(keys: readonly Key[]): Promise<void> {
    for (const key of keys) {
      const pair = this.#pairOf(key);
      let batch = this.#open.get(pair);
      if (batch === undefined) {
        batch = [];
        this.#open.set(pair, batch);
      }
      batch.push(key);
      if (batch.length >= Math.min(this.#size, this.#limit())) this.#close(pair, batch);
    }
    while (this.#waiting.length > 0 && this.#failures.length === 0) await this.#change();
    this.#check();
  }

  /** Resolves when every key that was taken has been worked on. @throws what a batch has failed with */
  async end(): Promise<void> {
    if (this.#failures.length === 0) for (const [pair, batch] of this.#open) this.#close(pair, batch);
    await this.idle();
    this.#check();
  }

  /** Resolves when no batch is at work any more, whether they went well or not. */
  async idle(): Promise<void> {
    while (this.#working > 0) await this.#change();
  }

  #check(): void {
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  #close(pair: number, batch: readonly Key[]): void {
    this.#open.delete(pair);
    this.#waiting.push(batch);
    this.#next();
  }

  #next(): void {
    while (this.#working < Math.min(CONCURRENCY, 1 + this.#ended) && this.#failures.length === 0) {
      const batch = this.#waiting.shift();
      if (batch === undefined) return;
      const most = this.#limit();
      const whole = batch.length <= most;
      if (!whole) this.#waiting.unshift(batch.slice(most));
      this.#working++;
      void this.#run(whole ? batch : batch.slice(0, most));
    }
  }

  async #run(batch: readonly Key[]): Promise<void> {
    try {
      await this.#work(batch);
      if (batch.length >= this.#size) this.#size = Math.min(2 * this.#size, Math.max(FIRST_KEYS, this.#limit()));
    } catch (error) {
      this.#failures.push(error);
    }
    this.#working--;
    this.#ended++;
    this.#next();
    for (const resolve of this.#changed.splice(0)) resolve();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changed.push(resolve));
  }
}
