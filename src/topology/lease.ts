/** The lease on a change's work. It only avoids doing the work twice: every step is safe when two processes do it. */
import { hostname } from "node:os";
import { RingshiftError } from "../errors.ts";
import { randomId } from "./document.ts";
import type { RedisStore } from "./redis-store.ts";

const LEASE_MS = 5_000;
const RENEW_MS = 1_000;
const POLL_MS = 200;

export class Lease {
  readonly #store: RedisStore;
  readonly #holder: string;
  #timer: NodeJS.Timeout | undefined;

  private constructor(store: RedisStore, holder: string) {
    this.#store = store;
    this.#holder = holder;
    this.#timer = setInterval(() => void store.lease(holder, LEASE_MS).catch(() => {}), RENEW_MS);
    this.#timer.unref();
  }

  /**
   * Takes the lease. A holder of this machine whose process is gone loses it at once, any other one when it has not renewed for 5 s.
   * @param waiting called once when somebody else holds it
   * @throws RingshiftError MIGRATION_RUNNING when the holder is alive
   */
  static async take(store: RedisStore, waiting: (holder: string) => void): Promise<Lease> {
    const holder = `${hostname()} ${process.pid} ${randomId()}`;
    const deadline = Date.now() + LEASE_MS + RENEW_MS;
    let told = false;
    for (;;) {
      const standing = await store.lease(holder, LEASE_MS);
      if (standing === holder) return new Lease(store, holder);
      if (isGone(standing)) {
        await store.releaseLease(standing);
        continue;
      }
      if (!told) waiting(standing);
      told = true;
      if (Date.now() > deadline) {
        const [host, pid] = standing.split(" ");
        throw new RingshiftError(
          "MIGRATION_RUNNING",
          `Another change is under way, coordinated by process ${pid} on ${host}: see ringshift status.`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#store.releaseLease(this.#holder).catch(() => {}); // it ends by itself
  }
}

/** True for a holder of this machine whose process has ended; of another machine's nothing is known. */
export function isGone(holder: string): boolean {
  const [host, pid] = holder.split(" ");
  if (host !== hostname()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
