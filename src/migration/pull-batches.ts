/** A copier's pulls: batch by batch, at the rate that was asked for, with patience for servers and a watch on the size of the values. */
import { isRingshiftError } from "../errors.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { Retry } from "../protocol/outcome.ts";
import { type PullOptions, pull } from "../protocol/pull.ts";
import { pullMany } from "../protocol/pull-many.ts";
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import type { CopierOptions } from "./copier.ts";
import type { MovingKey } from "./moving-keys.ts";
import { patiently } from "./patience.ts";
import { RateLimit } from "./rate-limit.ts";

/** Keys of one batch at most: eight full exchanges a step. With four the copier took a tenth more CPU time a key. */
const MAX_BATCH_KEYS = 8 * MAX_EXCHANGE_COMMANDS;
/** What a batch's values are to come to at most, judged by those before it. With ten batches at work a line has to carry six MiB within a flush's second. */
const MAX_BATCH_BYTES = 640 * 1024;
/** Keys that are left to `pull` go in batches of this: with two commands a key they fill a flush. */
const LEFT_KEYS = 31;
/**
 * Under a rate a batch is what the rate allows in this time: many small batches disturb the servers' other work less than few large ones, but
 * cost the copier more, which may share a core with them. At 10,000 keys/s batches of 10 ms took 1.2 times the CPU time a key.
 */
const PACE_S = 0.025;
/** Looks of the second pass that count as the pull of one key. */
const LOOKS_PER_PULL = 5;

type PullBatchesOptions = Pick<CopierOptions, "rate" | "signal" | "obey" | "unstorable">;

export class PullBatches {
  readonly #session: Session;
  readonly #view: View;
  readonly #options: PullBatchesOptions;
  readonly #pull: PullOptions;
  readonly #rate: RateLimit;
  readonly #paced: number;
  /** Running mean of the values' sizes. */
  #valueBytes = 0;
  /** Keys that this copier moved; a client may have pulled others. */
  moved = 0;

  constructor(session: Session, view: View, options: PullBatchesOptions) {
    const { rate } = options;
    this.#session = session;
    this.#view = view;
    this.#options = options;
    this.#pull = { unstorable: options.unstorable ?? "stop" };
    this.#rate = new RateLimit(session.clock, rate);
    this.#paced = rate === undefined ? MAX_BATCH_KEYS : Math.max(1, Math.ceil(rate * PACE_S));
  }

  /** Keys of the next batch at most. */
  get limit(): number {
    const bySize = Math.max(1, Math.floor(MAX_BATCH_BYTES / Math.max(1, this.#valueBytes)));
    return Math.min(MAX_BATCH_KEYS, this.#paced, bySize);
  }

  /** Resolves when so many looks of the second pass may begin. */
  async paceLooks(looks: number): Promise<void> {
    await this.#rate.take(looks / LOOKS_PER_PULL, this.#options.signal);
  }

  /** All of one pair of servers. @throws ViewEnded; RingshiftError NODE_DOWN, WOULD_NOT_FIT, MIGRATION_STOPPED */
  async pull(keys: readonly MovingKey[]): Promise<void> {
    await this.#rate.take(keys.length, this.#options.signal);
    await this.#options.obey?.();
    await this.#pullAll(keys);
  }

  async #pullAll(keys: readonly MovingKey[]): Promise<void> {
    let open = keys;
    const outcome = await patiently(this.#session, this.#view, keys[0]!.target, this.#options.signal, async () => {
      try {
        open = await this.#pullPlain(open);
        while (open.length > 0) {
          await this.#pullOthers(open.slice(0, LEFT_KEYS));
          open = open.slice(LEFT_KEYS);
        }
        return "done";
      } catch (error) {
        const slow = error instanceof Retry && isRingshiftError(error.cause, "TIMEOUT");
        if (slow && open.length > 1) return "slow"; // large values over a slow line: fewer at once
        throw error;
      }
    });
    if (outcome === "done") return;
    const half = open.length >> 1;
    await this.#pullAll(open.slice(0, half));
    await this.#pullAll(open.slice(half));
  }

  /** Answers the keys that something is in the way of. */
  async #pullPlain(keys: readonly MovingKey[]): Promise<readonly MovingKey[]> {
    const { source, target } = keys[0]!;
    const { moved, left, bytes } = await pullMany(this.#session, this.#view, source, target, keys);
    for (const key of moved) key.tally.moved++;
    this.moved += moved.length;
    if (moved.length > 0) this.#valueBytes += (bytes / moved.length - this.#valueBytes) / 2;
    return left;
  }

  async #pullOthers(keys: readonly MovingKey[]): Promise<void> {
    const { source, target } = keys[0]!;
    const results = await pull(this.#session, this.#view, source, target, keys, this.#pull);
    for (const [i, key] of keys.entries()) {
      if (results[i] !== "moved") continue;
      key.tally.moved++;
      this.moved++;
    }
  }
}
