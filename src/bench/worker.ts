/** The child process: takes one task, does it, answers, ends. Modules are loaded by task, so that no client shares a heap with another's. */
import type { CopyTask } from "./jobs/copy.ts";
import type { FillTask } from "./jobs/fill.ts";
import type { IndexTask } from "./jobs/index-memory.ts";
import type { MemjsCopyTask } from "./jobs/memjs-copy.ts";
import type { MidTask } from "./jobs/mid-load.ts";
import type { RawCopyTask } from "./jobs/raw-copy.ts";
import type { RingTask } from "./jobs/ring-times.ts";
import type { TurnTask } from "./jobs/turn.ts";

export type Task = TurnTask | FillTask | CopyTask | RawCopyTask | MemjsCopyTask | MidTask | RingTask | IndexTask;

process.once("message", (task: Task) => {
  perform(task).then(
    (answer) => process.send?.(answer, () => process.exit(0)),
    (error: unknown) => {
      process.stderr.write(`${task.job}: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});

async function perform(task: Task): Promise<object> {
  switch (task.job) {
    case "turn":
      return (await import("./jobs/turn.ts")).turn(task);
    case "fill":
      return (await import("./jobs/fill.ts")).fillCluster(task);
    case "copy":
      return (await import("./jobs/copy.ts")).copy(task);
    case "raw-copy":
      return (await import("./jobs/raw-copy.ts")).rawCopy(task);
    case "memjs-copy":
      return (await import("./jobs/memjs-copy.ts")).memjsCopy(task);
    case "mid":
      return (await import("./jobs/mid-load.ts")).loadMidway(task, (answer) => process.send?.(answer), nextMessage());
    case "ring":
      return (await import("./jobs/ring-times.ts")).ringTimes(task);
    case "index":
      return (await import("./jobs/index-memory.ts")).indexMemory(task);
  }
}

/** What a parent says while the task is under way. */
function nextMessage(): Promise<void> {
  return new Promise((resolve) => process.once("message", () => resolve()));
}
