/**
 * One process keeps the order of its own calls per key. What a call may not overtake:
 *
 *   sent at once (direct.ts)   a read no write, a write nothing, that was sent at once on its key and is not answered
 *   in a lane                  everything on its key that was called before
 *
 * A call sent at once may still have to begin again (the server was away, its fence was newer). It does so without a lane: nothing that
 * it could overtake has been sent, as what may not overtake it waits here until it is answered.
 */
export class Lanes {
  /** The last call in the key's lane. */
  readonly #tails = new Map<string, Promise<unknown>>();
  /** Calls sent at once and not answered. */
  readonly #sent = new Map<string, Sent>();

  /** True when a call on the key may not be sent at once. */
  busy(key: string, write: boolean): boolean {
    if (this.#tails.has(key)) return true;
    const sent = this.#sent.get(key);
    return sent !== undefined && (write || sent.write);
  }

  /** A call that `busy` lets through is sent. */
  begin(key: string, write: boolean): void {
    const sent = this.#sent.get(key);
    if (sent === undefined) this.#sent.set(key, { calls: 1, write, answered: undefined, resolve: undefined });
    else sent.calls++;
  }

  /** It is answered. */
  end(key: string): void {
    const sent = this.#sent.get(key)!;
    if (--sent.calls > 0) return;
    this.#sent.delete(key);
    sent.resolve?.();
  }

  /** Runs `work` after everything that was called for the key before. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? this.#answered(key);
    const mine = before === undefined ? work() : before.then(work, work);
    this.#tails.set(key, mine);
    const done = () => {
      if (this.#tails.get(key) === mine) this.#tails.delete(key);
    };
    mine.then(done, done);
    return mine;
  }

  /** Resolves when the calls that were sent at once are answered; no more of them are sent while somebody waits in the lane. */
  #answered(key: string): Promise<void> | undefined {
    const sent = this.#sent.get(key);
    if (sent === undefined) return undefined;
    sent.answered ??= new Promise((resolve) => {
      sent.resolve = resolve;
    });
    return sent.answered;
  }
}

/** Either reads, or one write. */
interface Sent {
  calls: number;
  readonly write: boolean;
  answered: Promise<void> | undefined;
  resolve: (() => void) | undefined;
}
