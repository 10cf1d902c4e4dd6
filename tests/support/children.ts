/** Child processes of tests. They run the compiled package; `global-setup.ts` has seen to it that it is what the source says. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A child that answers by messages. It ends with its parent at the latest: its channel closes then. */
export class Child {
  readonly process: ChildProcess;
  readonly #inbox: unknown[] = [];
  #wake: (() => void) | undefined;
  #gone = false;

  /** @param program file in this folder */
  constructor(program: string) {
    const path = fileURLToPath(new URL(program, import.meta.url));
    this.process = fork(path, {
      execArgv: [],
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    this.process.on("message", (message) => {
      this.#inbox.push(message);
      this.#wake?.();
    });
    this.process.on("exit", () => {
      this.#gone = true;
      this.#wake?.();
    });
  }

  send(message: unknown): void {
    this.process.send(message as never);
  }

  /** The next message. @throws Error when the child is gone without one */
  async receive<T>(): Promise<T> {
    while (this.#inbox.length === 0) {
      if (this.#gone) throw new Error(`the child is gone (${this.process.signalCode ?? this.process.exitCode})`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#inbox.shift() as T;
  }

  /** Sends a message and answers the next one from the child. */
  ask<T>(message: unknown): Promise<T> {
    this.send(message);
    return this.receive<T>();
  }

  async stop(): Promise<void> {
    await this.kill("SIGKILL");
  }

  /** Sends the signal and waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#gone) return;
    this.process.kill(signal);
    await this.ended();
  }

  async ended(): Promise<void> {
    if (!this.#gone) await once(this.process, "exit");
  }
}
