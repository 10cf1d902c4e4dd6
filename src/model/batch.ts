/** Runs of consecutive seeds, one after another in this thread; as a worker thread's program, batch after batch as they are sent. */
import { parentPort } from "node:worker_threads";
import { runOnce } from "./run.ts";
import { addRun, noRuns, type Totals } from "./totals.ts";
import type { Rule } from "./without/rules.ts";

export interface Batch {
  readonly seed: number;
  readonly runs: number;
  readonly without: readonly Rule[];
  /** Only these features may be drawn; undefined: all. */
  readonly features?: readonly string[] | undefined;
  /** Name of the profile that every run has; undefined: each draws its own. */
  readonly profile?: string | undefined;
  /** Ends with the first run that violates. */
  readonly first: boolean;
}

export async function runBatch(batch: Batch, trace?: (line: string) => void): Promise<Totals> {
  const totals = noRuns();
  const without = new Set(batch.without);
  const features = batch.features && new Set(batch.features);
  for (let seed = batch.seed; seed < batch.seed + batch.runs; seed++) {
    addRun(totals, await runOnce({ seed, without, features, profile: batch.profile, trace }));
    if (batch.first && totals.violations > 0) break;
  }
  return totals;
}

// rejections are the product's way to begin again, and nobody reads their stacks here: `--trace` runs in the main thread
if (parentPort !== null) Error.stackTraceLimit = 0;

parentPort?.on("message", (batch: Batch) => {
  runBatch(batch).then(
    (totals) => parentPort!.postMessage(totals),
    (error: unknown) => {
      throw error;
    },
  );
});
