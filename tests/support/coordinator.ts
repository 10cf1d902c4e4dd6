/** A coordinator in a process of its own (`coordinator-child.mjs`), to be killed, or to be another process than the clients'. */
import type { Change, ChangeOptions, ChangeReport, Progress } from "../../src/index.ts";
import type { TestCluster } from "./bench.ts";
import { Child } from "./children.ts";

type Message = {
  readonly progress?: Progress;
  readonly report?: ChangeReport;
  readonly failure?: { readonly code: string; readonly message: string };
};

export interface Remote extends Pick<ChangeOptions, "rate"> {
  /** The process kills itself inside the first event of this step. */
  readonly dieAt?: Progress["step"];
}

export class RemoteCoordinator {
  readonly child = new Child("coordinator-child.mjs");

  #forget: () => Promise<unknown> = async () => {};

  /** Begins the change. */
  async begin(cluster: TestCluster, change: Change, { dieAt, ...options }: Remote = {}): Promise<void> {
    const others = await cluster.registered();
    this.#forget = () => cluster.forgetAllBut(others);
    this.child.send({ where: cluster.where, change, options, dieAt });
  }

  /** Waits for the process to kill itself, and ends its registration. */
  async death(): Promise<void> {
    await this.child.ended();
    await this.#forget();
  }

  /** Kills the process and ends its registration: see `forgetAllBut`. */
  async kill(): Promise<void> {
    await this.child.kill("SIGKILL");
    await this.#forget();
  }

  /** The next event that is the one looked for. @throws Error when the change, or the process, ended before */
  async event(wanted: (progress: Progress) => boolean): Promise<Progress> {
    for (;;) {
      const { progress, report, failure } = await this.child.receive<Message>();
      if (progress !== undefined && wanted(progress)) return progress;
      if (failure !== undefined) throw new Error(`the change failed: ${failure.code} ${failure.message}`);
      if (report !== undefined) throw new Error("the change was through before the event");
    }
  }

  async report(): Promise<ChangeReport> {
    for (;;) {
      const { report, failure } = await this.child.receive<Message>();
      if (failure !== undefined) throw new Error(`the change failed: ${failure.code} ${failure.message}`);
      if (report !== undefined) return report;
    }
  }

  stop(): Promise<void> {
    return this.child.stop();
  }
}
