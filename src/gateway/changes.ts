/**
 * Changes of the cluster that this process coordinates: those of the admin port, of the configuration and of the observer, one at a
 * time. Another process' changes are kept apart by the lease in Redis.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Admin } from "../migration/admin.ts";
import { type Change, commandText } from "../migration/change.ts";
import type { ChangeOptions } from "../migration/coordinator.ts";
import type { Plan } from "../migration/plan.ts";
import type { PrepareOptions } from "../migration/prepare.ts";
import type { ChangeReport, Progress } from "../migration/progress.ts";
import type { EventLog } from "./event-log.ts";

/** Who asked for a change. */
export type Origin = "admin" | "config" | "observer";

export interface Running {
  readonly command: string;
  readonly origin: Origin;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The latest of what the change has reported. */
  readonly progress: Progress | undefined;
}

export interface ChangesOptions {
  readonly admin: Admin;
  readonly log: EventLog;
  /** Keys a second that a copier moves at most. */
  readonly rate: () => number | undefined;
}

/** Between two looks whether a server has been declared dead, in ms. */
const DECLARED_POLL_MS = 50;

export class Changes {
  readonly #options: ChangesOptions;
  #running: Running | undefined;
  #work: Promise<unknown> = Promise.resolve();
  readonly #stop = new AbortController();
  /** The report of the latest change that this process has finished. */
  latest: ChangeReport | undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  get running(): Running | undefined {
    return this.#running;
  }

  /** @throws RingshiftError as `Admin.plan` */
  plan(change: Change, options: PrepareOptions = {}): Promise<Plan> {
    return this.#options.admin.plan(change, options);
  }

  /**
   * Begins a change. The promise is of its end, which may be minutes away.
   * @throws RingshiftError as `Admin.apply`; MIGRATION_RUNNING at once while this process coordinates another
   */
  run(change: Change, origin: Origin, options: PrepareOptions = {}): Promise<ChangeReport> {
    if (this.#running !== undefined) {
      throw new RingshiftError(
        "MIGRATION_RUNNING",
        `"${this.#running.command}" is under way (${this.#running.origin}).`,
      );
    }
    if (this.#stop.signal.aborted) throw new RingshiftError("CLOSED", "The gateway is stopping.");
    const command = commandText(change);
    this.#running = { command, origin, startedAt: new Date().toISOString(), progress: undefined };
    const work = this.#apply(change, command, options);
    this.#work = work.catch(() => {});
    return work;
  }

  /** The copiers of the change under way stand still, whoever runs them. @throws RingshiftError INVALID_OPTION when there is none */
  async pause(): Promise<void> {
    const { admin, log } = this.#options;
    await admin.pause();
    log.add("change", "info", "The change under way is paused: clients still move what they touch");
  }

  /**
   * The copiers go on; where nobody coordinates the change any more, this process does.
   * @throws RingshiftError INVALID_OPTION when there is none
   */
  async resume(): Promise<void> {
    await this.#carryOn("resumed", (options) => this.#options.admin.resume(options));
  }

  /**
   * Takes the change under way back: at once where nothing has moved yet, else forward and then back, which takes its time.
   * @throws RingshiftError INVALID_OPTION when there is none
   */
  async abort(): Promise<void> {
    await this.#carryOn("aborted", (options) => this.#options.admin.abort(options));
  }

  /**
   * Gives up a server that has died while keys were moving from or to it: what was there alone is lost, the change goes on without it.
   * @throws RingshiftError INVALID_OPTION when there is nothing to abandon, or the server answers
   */
  async abandon(node: string): Promise<void> {
    const { admin } = this.#options;
    let ended = false;
    const { end } = await this.#carryOn(`${node} given up`, (options) => admin.abandon(node, options));
    const work = end.finally(() => {
      ended = true;
    });
    const declared = async () => {
      while (!ended && !(await admin.topology()).dead?.includes(node)) await sleep(DECLARED_POLL_MS);
    };
    await Promise.race([work, declared()]);
  }

  /** Begins work on the change under way. What it ends with is in the event log as well. */
  async #carryOn<T>(what: string, work: (options: ChangeOptions) => Promise<T>): Promise<{ end: Promise<T> }> {
    const { admin, log, rate } = this.#options;
    const standing = await admin.underWay();
    if (standing === undefined) throw new RingshiftError("INVALID_OPTION", "No change is under way.");
    const { command } = standing;
    log.add("change", "info", `${command}: ${what}`);
    const ended = work({ rate: rate(), signal: this.#stop.signal });
    const logged = ended.catch((error: unknown) => {
      log.add("change", "error", `${command}: ${wordsOf(error)}`);
    });
    this.#work = Promise.all([this.#work, logged]);
    return { end: ended };
  }

  /** Stops the copier of the change under way; the same change resumes it, from anywhere. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  async #apply(change: Change, command: string, options: PrepareOptions): Promise<ChangeReport> {
    const { admin, log, rate } = this.#options;
    log.add("change", "info", `${command}: begun`);
    try {
      const report = await admin.apply(change, {
        ...options,
        rate: rate(),
        signal: this.#stop.signal,
        onProgress: (progress) => this.#note(command, progress),
      });
      this.latest = report;
      const seconds = report.seconds.toFixed(1);
      log.add("change", "info", `${command}: done, ${report.moved} keys moved in ${seconds} s`);
      return report;
    } catch (error) {
      log.add("change", "error", `${command}: ${wordsOf(error)}`);
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  #note(command: string, progress: Progress): void {
    if (this.#running !== undefined) this.#running = { ...this.#running, progress };
    if (progress.step === "planned") {
      const { plan } = progress;
      this.#options.log.add(
        "change",
        "info",
        `${command}: ${plan.keys} keys to move, ${plan.setsRead} of ${plan.setsTotal} sets`,
      );
    } else if (progress.step === "waiting") {
      this.#options.log.add("change", "info", `${command}: waiting for ${progress.reason}`);
    }
  }
}

function wordsOf(error: unknown): string {
  return isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error);
}
