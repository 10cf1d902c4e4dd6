/** The client processes: started, killed, stopped, started again under the next life's name. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { killAtExit } from "../testing/kill-at-exit.ts";
import type { WorkerOpened, WorkerReport, WorkerTask } from "./worker-main.ts";

const PROGRAM = fileURLToPath(new URL("./worker-main.js", import.meta.url));
/** A process that was told to end and has not: its calls have timeouts far below. */
const END_MS = 30_000;

export type MemberTask = Omit<WorkerTask, "name" | "seed">;

export class Member {
  readonly number: number;
  readonly #task: MemberTask;
  readonly #seed: number;
  #life = 0;
  #child: ChildProcess;
  condition: "up" | "stopped" | "dead" = "up";
  /** Its present life knows all rings. */
  knows = false;
  /** Values that its lives could not store on the way, of those that have ended in order. */
  dropped = 0;
  /** Set when a life has ended by itself: a bug of this program. */
  failure: string | undefined;
  #ending = false;

  constructor(number: number, task: MemberTask, seed: number) {
    this.number = number;
    this.#task = task;
    this.#seed = seed;
    this.#child = this.#fork();
  }

  get pid(): number {
    return this.#child.pid!;
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(signal);
    this.condition = signal === "SIGSTOP" ? "stopped" : "up";
  }

  async kill(): Promise<void> {
    this.condition = "dead";
    this.knows = false;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }

  start(): void {
    this.#child = this.#fork();
    this.condition = "up";
  }

  /** Its calls end, then it does. */
  async end(): Promise<void> {
    if (this.condition === "dead") return;
    this.signal("SIGCONT");
    this.#ending = true;
    const exited = once(this.#child, "exit");
    const late = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
    if (this.#child.connected) this.#child.send("stop", () => {});
    await exited;
    clearTimeout(late);
    this.condition = "dead";
  }

  /** Resolves when it has ended by itself, as one that reads all keys does. */
  async done(): Promise<void> {
    this.#ending = true;
    if (this.condition === "dead") return;
    await once(this.#child, "exit");
    this.condition = "dead";
  }

  #fork(): ChildProcess {
    this.#life++;
    const name = `${this.number}.${this.#life}`;
    const child = fork(PROGRAM, { stdio: ["ignore", 2, 2, "ipc"], execArgv: [] });
    killAtExit(child);
    child.send({ ...this.#task, name, seed: this.#seed + this.#life } satisfies WorkerTask, () => {});
    child.on("message", (message: WorkerOpened | WorkerReport) => {
      if (message.type === "opened") this.knows = this.#child === child;
      else this.dropped += message.dropped;
    });
    child.once("exit", (code, signal) => {
      if (this.#ending || signal === "SIGKILL") return;
      this.failure = `client ${name} ended with ${signal ?? `code ${code}`}`;
      this.condition = "dead";
    });
    return child;
  }
}
