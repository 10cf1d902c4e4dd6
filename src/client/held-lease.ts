/** A lease in the hands of a loader: renewed while it works, then filled or given back. */
import { isRingshiftError } from "../errors.ts";
import { findLease, giveBackLease, LEASE_TTL_S, type Lease, renewLease } from "../protocol/lease.ts";
import * as mutate from "../protocol/mutate.ts";
import { Retry } from "../protocol/outcome.ts";
import type { Item } from "../protocol/store.ts";
import type { Route } from "../protocol/view.ts";
import type { Core } from "./core.ts";

const RENEW_MS = (LEASE_TTL_S * 1000) / 3;

export class HeldLease {
  readonly #core: Core;
  readonly #key: string;
  /** Undefined: lost. */
  #lease: Lease | undefined;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;

  constructor(core: Core, key: string, lease: Lease) {
    this.#core = core;
    this.#key = key;
    this.#lease = lease;
    this.#timer = setInterval(() => {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = undefined;
      });
    }, RENEW_MS);
    this.#timer.unref();
  }

  /**
   * Stores the value on the lease. False: something else has happened to the key, or its server cannot be reached, or nobody knows.
   * @throws RingshiftError VALUE_TOO_LARGE; the lease stands then
   */
  async fill(item: Item): Promise<boolean> {
    await this.#stop();
    try {
      return (
        (await this.#run(true, (route, lease) => mutate.fillLease(this.#core.session, route, item, lease))) ?? false
      );
    } catch (error) {
      if (!isRingshiftError(error) || error.code === "VALUE_TOO_LARGE") throw error;
      return false;
    }
  }

  /** Frees the key; where that fails, the lease expires. True: nothing has happened to the key until now. */
  async giveBack(): Promise<boolean> {
    await this.#stop();
    const { session } = this.#core;
    const given = this.#run(false, (route, lease) => giveBackLease(session, route, lease));
    return (await given.catch(() => false)) ?? false;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { session } = this.#core;
    try {
      this.#lease = await this.#run(false, (route, lease) => renewLease(session, route, lease));
    } catch {
      // not known; the next one finds out
    }
  }

  /** Undefined: the lease is lost. A lease whose connection broke is looked for first. */
  async #run<T>(write: boolean, use: (route: Route, lease: Lease) => Promise<T>): Promise<T | undefined> {
    if (this.#lease === undefined) return undefined;
    const { session } = this.#core;
    return this.#core.run(this.#key, undefined, write, !write, async (route) => {
      try {
        return await use(route, this.#lease!);
      } catch (error) {
        if (!(error instanceof Retry)) throw error;
      }
      const found = await findLease(session, route, this.#lease!);
      if (found === undefined) return undefined;
      this.#lease = found;
      return use(route, found);
    });
  }
}
