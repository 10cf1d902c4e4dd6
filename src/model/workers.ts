/**
 * A range of seeds over several threads. A run depends on its seed alone, and the batches' results are joined in the order of their seeds, so the
 * result is the same with any number of threads.
 */
import { Worker } from "node:worker_threads";
import type { Batch } from "./batch.ts";
import { join, noRuns, type Totals } from "./totals.ts";

/** Runs of one batch: a second or two. */
const BATCH_RUNS = 200;
/** A run's objects die with it, and with this much room few are copied first. */
const YOUNG_MB = 96;

/** @param progress told of the runs done so far */
export async function runInWorkers(all: Batch, threads: number, progress: (runs: number) => void): Promise<Totals> {
  const batches: Batch[] = [];
  for (let from = 0; from < all.runs; from += BATCH_RUNS) {
    batches.push({ ...all, seed: all.seed + from, runs: Math.min(BATCH_RUNS, all.runs - from) });
  }
  const results: Totals[] = [];
  let [next, done, found] = [0, 0, false];
  const work = async () => {
    const worker = new Worker(new URL(`./batch${import.meta.url.slice(-3)}`, import.meta.url), {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
    });
    try {
      while (next < batches.length && !(all.first && found)) {
        const at = next++;
        const totals = await ask(worker, batches[at]!);
        results[at] = totals;
        done += totals.runs;
        if (totals.violations > 0) found = true;
        progress(done);
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, batches.length) }, work));
  const sum = noRuns();
  for (const totals of results) {
    join(sum, totals);
    if (all.first && totals.violations > 0) break; // what was run behind it does not count
  }
  return sum;
}

function ask(worker: Worker, batch: Batch): Promise<Totals> {
  return new Promise((resolve, reject) => {
    const answered = (totals: Totals) => {
      worker.off("error", failed);
      resolve(totals);
    };
    const failed = (error: unknown) => {
      worker.off("message", answered);
      reject(error);
    };
    worker.once("message", answered);
    worker.once("error", failed);
    worker.postMessage(batch);
  });
}
