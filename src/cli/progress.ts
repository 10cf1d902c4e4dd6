/** What a change says while it runs: step lines, and for the copy a bar on a terminal or at most a line per second elsewhere. */
import type { SingleBar } from "cli-progress";
import type { Progress } from "../migration/progress.ts";
import { count, note, ok, step } from "./output.ts";

const LINE_EVERY_MS = 1_000;

type Copied = Extract<Progress, { step: "copied" }>;

/** Shows the copy's progress; `end` is called however the copy ends. */
interface CopyDisplay {
  begin(sets: number): void;
  update(progress: Copied): void;
  end(): void;
}

export interface ChangeProgress {
  readonly onProgress: (progress: Progress) => void;
  /** The copy has begun: from here on a change that fails is to be resumed. */
  readonly begun: boolean;
  end(): void;
}

export async function openProgress(): Promise<ChangeProgress> {
  const display = process.stderr.isTTY ? await barDisplay() : lineDisplay();
  let begun = false;
  return {
    get begun() {
      return begun;
    },
    onProgress: (progress) => {
      if (progress.step === "fencing" || progress.step === "copying") begun = true;
      report(progress, display);
    },
    end: () => display.end(),
  };
}

function report(progress: Progress, display: CopyDisplay): void {
  switch (progress.step) {
    case "waiting":
      step(`Waiting: ${progress.reason}`);
      return;
    case "prepared":
      ok(`${progress.node} runs memcached ${progress.version}`);
      return;
    case "coordinating":
      return;
    case "planned":
      return; // the command has shown its plan
    case "fencing":
      step(`Raising the fences (epoch ${progress.epoch})`);
      return;
    case "copying":
      step(`${progress.resumed ? "Resuming the copy of" : "Copying"} ${count(progress.sets)} sets`);
      display.begin(progress.sets);
      return;
    case "copied":
      display.update(progress);
      return;
    case "dumping":
      display.end();
      step(`Looking on ${progress.node} for keys that the index does not list`);
      return;
    case "verified":
      display.end();
      if (progress.keys === 0) ok("nothing is left at the old nodes, and no set lists more than was copied");
      else ok(`${count(progress.keys)} keys looked for at their old nodes once more: none is left`);
      return;
    case "cleaning":
      step("Cleaning the index");
      return;
    case "settling":
      step("Waiting for the clients to acknowledge the new ring");
      return;
    case "done":
      return;
  }
}

/** cli-progress is loaded where it is used only. */
async function barDisplay(): Promise<CopyDisplay> {
  const { default: cliProgress } = await import("cli-progress");
  let bar: SingleBar | undefined;
  return {
    begin: (sets) => {
      bar = new cliProgress.SingleBar({
        format: "    [{bar}] {percentage} %  {value}/{total} sets  {moved} keys moved  {duration_formatted}",
        barCompleteChar: "#",
        barIncompleteChar: "-",
        stream: process.stderr,
        gracefulExit: false, // interrupt.ts has the signals
      });
      bar.start(sets, 0, { moved: "0" });
    },
    update: ({ setsDone, moved }) => bar?.update(setsDone, { moved: count(moved) }),
    end: () => {
      bar?.stop();
      bar = undefined;
    },
  };
}

function lineDisplay(): CopyDisplay {
  let saidAt = Number.NEGATIVE_INFINITY;
  let latest: Copied | undefined;
  const say = ({ setsDone, sets, moved }: Copied) => {
    saidAt = performance.now();
    latest = undefined;
    note(`    ${count(setsDone)}/${count(sets)} sets, ${count(moved)} keys moved`);
  };
  return {
    begin: () => {},
    update: (progress) => {
      latest = progress;
      if (performance.now() - saidAt >= LINE_EVERY_MS) say(progress);
    },
    end: () => {
      if (latest !== undefined) say(latest);
    },
  };
}
