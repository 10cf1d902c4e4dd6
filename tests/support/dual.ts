/** Holds a migration where a test wants to look at it. */
import { type Admin, type Change, isRingshiftError, type Progress } from "../../src/index.ts";
import type { TestCluster } from "./bench.ts";

/** Runs the change until the copier is about to move its first key, and stops there: the cluster stays in D. */
export async function stopInDual(admin: Admin, change: Change): Promise<void> {
  await stopAt(admin, change, (progress) => progress.step === "copying");
}

/** Runs the change and interrupts the copier as soon as `reached` says so. @throws Error when the change was through before that */
export async function stopAt(
  admin: Admin,
  change: Change,
  reached: (progress: Progress) => boolean,
  rate?: number,
): Promise<void> {
  const controller = new AbortController();
  const onProgress = (progress: Progress) => {
    if (reached(progress)) controller.abort();
  };
  try {
    await admin.apply(change, { onProgress, rate, signal: controller.signal });
  } catch (error) {
    if (isRingshiftError(error, "MIGRATION_STOPPED")) return;
    throw error;
  }
  throw new Error("the change was through before it was interrupted");
}

/**
 * Registers a client that never acknowledges anything, so that the next migration stays in its settling.
 * @returns takes the registration back
 */
export async function holdSettling(cluster: TestCluster): Promise<() => Promise<void>> {
  const { redis } = cluster.bench;
  await redis.zadd(cluster.names.clients, Date.now() + 3_600_000, "never");
  return async () => {
    await redis.zrem(cluster.names.clients, "never");
  };
}
