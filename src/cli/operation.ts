/** An operator's verb that is no change of its own (resume, abort, verify ...), with its progress on stderr. */
import type { ChangeOptions } from "../migration/coordinator.ts";
import type { ChangeReport, OnProgress } from "../migration/progress.ts";
import { Interrupted } from "./failure.ts";
import { interruptible } from "./interrupt.ts";
import { count } from "./output.ts";
import { openProgress } from "./progress.ts";

/** After a signal the copier gets this long to stop by itself. Ending it under way is as safe. */
const STOP_MS = 3_000;

/** Work that a signal stops at its next batch. @throws Interrupted */
export async function stoppable<T>(
  resumedBy: string,
  work: (options: Required<Pick<ChangeOptions, "onProgress" | "signal">>) => Promise<T>,
): Promise<T> {
  return withProgress((onProgress) =>
    interruptible((signal) => {
      const late = new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => setTimeout(reject, STOP_MS, new Error("interrupted")).unref());
      });
      return Promise.race([work({ onProgress, signal }), late]).catch((error: unknown) => {
        throw signal.aborted ? new Interrupted(`Interrupted. Reads and writes go on; ${resumedBy} resumes.`) : error;
      });
    }),
  );
}

/** Work that may be ended anywhere. */
export async function withProgress<T>(work: (onProgress: OnProgress) => Promise<T>): Promise<T> {
  const progress = await openProgress();
  try {
    return await work(progress.onProgress);
  } finally {
    progress.end();
  }
}

/** What went with dead servers, for a reader. */
export function lostLines({ lost }: Pick<ChangeReport, "lost">): string[] {
  if (lost === undefined) return [];
  const names = [...new Set(lost.arcs.map((arc) => arc.from))].join(", ");
  return [`Keys lost     ${count(lost.keys)} in ${count(lost.arcs.length)} arcs${names === "" ? "" : ` of ${names}`}`];
}
