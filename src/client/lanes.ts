/**
 * One process keeps the order of its own calls per key. A call that is sent at once keeps it by itself: one connection runs its commands
 * in order. A call that has to wait for something first (a recording, a pull, a second attempt) takes a lane, and later calls on the
 * same key queue behind it.
 */
export class Lanes {
  readonly #tails = new Map<string, Promise<unknown>>();

  busy(key: string): boolean {
    return this.#tails.has(key);
  }

  /** Runs `work` after everything that was queued for the key before. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const mine = before === undefined ? work() : before.then(work, work);
    this.#tails.set(key, mine);
    const done = () => {
      if (this.#tails.get(key) === mine) this.#tails.delete(key);
    };
    mine.then(done, done);
    return mine;
  }
}
