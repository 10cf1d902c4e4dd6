/**
 * How a link's server stands: how often in a row it failed, and with `health`, whether it counts as down, or as suspect.
 *
 *     good ──doubt──► suspect ──trust──► good
 *       │                │ one failure
 *       │ `downAfter`    ▼
 *       └────────────► down, and suspect where there is an `onRejoin` ──trust, up──► good
 *
 * What a link does about it, it does itself: nothing here knows a connection.
 */
import type { Health } from "./link-options.ts";
import type { ExchangeError } from "./transport.ts";

/** First wait after a failed connection; doubles with each further one. */
const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 2_000;

export class Standing {
  readonly #health: Health | undefined;
  readonly #random: () => number;
  #failures = 0;
  /** The server is down: what is submitted fails with this. */
  #down: ExchangeError | undefined;
  /** `onRejoin` has to run before the server serves. */
  #suspect = false;
  /** The server is said to be back: until the attempt under way ends, what is submitted waits for it. */
  #retrying = false;
  #probe: NodeJS.Timeout | undefined;

  /** @param random numbers in [0, 1) for the back-off's jitter */
  constructor(health: Health | undefined, random: () => number) {
    this.#health = health;
    this.#random = random;
  }

  get down(): boolean {
    return this.#down !== undefined;
  }

  get suspect(): boolean {
    return this.#suspect;
  }

  /** A connection may serve as soon as its handshake is done. */
  get good(): boolean {
    return this.#down === undefined && !this.#suspect;
  }

  /** What is submitted now fails with this, if with anything. */
  get refusal(): ExchangeError | undefined {
    return this.#retrying ? undefined : this.#down;
  }

  /** Makes the server suspect. False: it is already, or nobody would have anything done about it. */
  doubt(): boolean {
    if (this.#health?.onRejoin === undefined || this.#suspect) return false;
    this.#suspect = true;
    return true;
  }

  /** `onRejoin` is done. */
  trust(): void {
    this.#suspect = false;
  }

  /** The server is said to be back. */
  retry(): void {
    this.#retrying = true;
  }

  /** A connection broke or did not come about. */
  attemptEnded(): void {
    this.#retrying = false;
  }

  /** A connection serves. */
  up(): void {
    this.#retrying = false;
    if (this.#down === undefined) return;
    this.#down = undefined;
    this.#failures = 0;
    this.#health?.onUp?.();
  }

  /** A connection broke that had answered something. */
  served(): void {
    this.#failures = 0;
  }

  /** A connection came to nothing. Answers how long to wait before the next one, in ms. */
  failed(): number {
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 10);
    return ceiling * (0.5 + this.#random() / 2);
  }

  /** Down after so many failures; the end of the back-off is a probe then. */
  check(failure: ExchangeError, waitMs: number, probe: () => void): void {
    const health = this.#health;
    if (health === undefined || (this.#failures < health.downAfter && !this.#suspect)) return;
    this.#probe = setTimeout(probe, waitMs);
    this.#probe.unref();
    const before = this.#down;
    this.#down = failure;
    if (before !== undefined) return;
    this.#suspect = health.onRejoin !== undefined;
    health.onDown?.(failure.error);
  }

  stopProbe(): void {
    clearTimeout(this.#probe);
  }
}
