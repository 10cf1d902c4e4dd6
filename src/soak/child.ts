/** A process of a soak run: forked from a program beside this file, asked one question at a time, stopped and killed at will. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { isRingshiftError } from "../errors.ts";
import { killAtExit } from "../testing/kill-at-exit.ts";

const OPEN_TRIES = 10;

export class Child<Question extends object, Answer> {
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  #gone: Error | undefined;

  /** @param program file name in this folder, compiled. Its stdout goes to ours: stderr, since stdout is for figures. */
  constructor(program: string) {
    const path = fileURLToPath(new URL(program, import.meta.url));
    this.#process = fork(path, { execArgv: [], stdio: ["ignore", 2, 2, "ipc"], serialization: "advanced" });
    this.#exited = once(this.#process, "exit");
    killAtExit(this.#process);
    this.#process.on("message", (answer: Answer) => {
      this.#waiting?.resolve(answer);
      this.#waiting = undefined;
    });
    this.#process.on("exit", (code, signal) => {
      this.#gone = new Error(`${program} ended (${signal ?? code})`);
      this.#waiting?.reject(this.#gone);
    });
  }

  /** @throws Error when the process ends before it answers */
  ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) return reject(this.#gone);
      this.#waiting = { resolve, reject };
      this.#process.send(question);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Resolves when the process is gone, by whatever end. */
  async ended(): Promise<void> {
    if (this.#gone === undefined) await this.#exited;
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.ended();
  }
}

/** In a child: answers every question by `answer`, and ends with the parent. What it throws ends the process with its text on stderr. */
export function answering<Question, Answer>(answer: (question: Question) => Promise<Answer>): void {
  process.on("message", (question: Question) => {
    answer(question).then(
      (reply) => process.send!(reply),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  });
  process.on("disconnect", () => process.exit());
}

/** Opens a client, again while Redis does not answer in time: on a busy machine a process that has just begun may be too slow for it. */
export async function opened<T>(open: () => Promise<T>): Promise<T> {
  for (let i = 1; ; i++) {
    try {
      return await open();
    } catch (error) {
      if (i === OPEN_TRIES || !isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
    }
  }
}

/** Milliseconds of the machine's monotonic clock, comparable between its processes. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
