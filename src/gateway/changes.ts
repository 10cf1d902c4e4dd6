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
  /** This process has the lease; before that it only waits for it. */
  readonly coordinates: boolean;
  /** Keys that this process has moved so far. */
  readonly moved: number;
}

type Work = { -readonly [Name in keyof Running]: Running[Name] };

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
  #running: Work | undefined;
  /** What was begun here and what is carried on. */
  readonly #works = new Set<Work>();
  #work: Promise<unknown> = Promise.resolve();
  readonly #stop = new AbortController();
  /** The report of the latest change that this process has finished. */
  latest: ChangeReport | undefined;

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  /** The change that was begun here and has not ended. */
  get running(): Running | undefined {
    return this.#running;
  }

  /** The change that this process holds the lease for, wherever it was begun. */
  get coordinated(): Running | undefined {
    return [...this.#works].find((work) => work.coordinates);
  }

  /** @throws RingshiftError as `Admin.plan` */
  plan(change: Change, options: PrepareOptions = {}): Promise<Plan> {
    return this.#options.admin.plan(change, options);
  }

  /**
   * Begins a change. The promise is of its end, which may be minutes away.
   * @param again it is tried again and again: what it does is logged, not that it begins, waits or fails
   * @throws RingshiftError as `Admin.apply`; MIGRATION_RUNNING at once while this process coordinates another
   */
  run(change: Change, origin: Origin, options: PrepareOptions = {}, again = false): Promise<ChangeReport> {
    const other = this.#running ?? this.coordinated;
    if (other !== undefined) {
      throw new RingshiftError("MIGRATION_RUNNING", `"${other.command}" is under way (${other.origin}).`);
    }
    if (this.#stop.signal.aborted) throw new RingshiftError("CLOSED", "The gateway is stopping.");
    const command = commandText(change);
    const work = this.#begin(command, origin);
    this.#running = work;
    const end = this.#apply(change, work, options, again);
    this.#work = Promise.all([this.#work, end.catch(() => {})]);
    return end;
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
    await this.#carryOn("resumed", async (options) => {
      const report = await this.#options.admin.resume(options);
      return report && this.#done(report);
    });
  }

  /**
   * Takes the change under way back: at once where nothing has moved yet, else forward and then back, which takes its time.
   * @throws RingshiftError INVALID_OPTION when there is none
   */
  async abort(): Promise<void> {
    await this.#carryOn("aborted", async (options) => {
      const { outcome, change } = await this.#options.admin.abort(options);
      if (change !== undefined) this.#done(change);
      return outcome === "taken-back"
        ? "taken back before anything had moved"
        : "taken back, the nodes are those of before";
    });
  }

  /**
   * Gives up a server that has died while keys were moving from or to it: what was there alone is lost, the change goes on without it.
   * @throws RingshiftError INVALID_OPTION when there is nothing to abandon, or the server answers
   */
  async abandon(node: string): Promise<void> {
    const { admin, log } = this.#options;
    let ended = false;
    const { command, end } = await this.#carryOn(undefined, async (options) => {
      const report = await admin.abandon(node, options);
      return report && this.#done(report);
    });
    const work = end.finally(() => {
      ended = true;
    });
    const declared = async () => {
      while (!ended && !(await admin.topology()).dead?.includes(node)) await sleep(DECLARED_POLL_MS);
    };
    await Promise.race([work, declared()]);
    log.add("change", "info", `${command}: ${node} is given up`);
  }

  /**
   * Begins work on the change under way, which answers how it has ended; undefined: another process goes on with it. The event log has it.
   * @param what said at once
   */
  async #carryOn(
    what: string | undefined,
    work: (options: ChangeOptions) => Promise<string | undefined>,
  ): Promise<{ command: string; end: Promise<unknown> }> {
    const { admin, log, rate } = this.#options;
    const standing = await admin.underWay();
    if (standing === undefined) throw new RingshiftError("INVALID_OPTION", "No change is under way.");
    const { command } = standing;
    if (what !== undefined) log.add("change", "info", `${command}: ${what}`);
    const own = this.#begin(command, "admin");
    const onProgress = (progress: Progress) => note(own, progress);
    const end = work({ rate: rate(), signal: this.#stop.signal, onProgress }).finally(() => this.#works.delete(own));
    const logged = end.then(
      (how) => how !== undefined && log.add("change", "info", `${command}: ${how}`),
      (error: unknown) => log.add("change", "error", `${command}: ${wordsOf(error)}`),
    );
    this.#work = Promise.all([this.#work, logged]);
    return { command, end };
  }

  /** Keeps the report; in words. */
  #done(report: ChangeReport): string {
    this.latest = report;
    return `done, ${report.moved} keys moved in ${report.seconds.toFixed(1)} s`;
  }

  /** Stops the copier of the change under way; the same change resumes it, from anywhere. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  #begin(command: string, origin: Origin): Work {
    const work = { command, origin, startedAt: new Date().toISOString(), coordinates: false, moved: 0 };
    this.#works.add(work);
    return work;
  }

  async #apply(change: Change, work: Work, options: PrepareOptions, again: boolean): Promise<ChangeReport> {
    const { admin, log, rate } = this.#options;
    const { command } = work;
    if (!again) log.add("change", "info", `${command}: begun`);
    try {
      const report = await admin.apply(change, {
        ...options,
        rate: rate(),
        signal: this.#stop.signal,
        onProgress: (progress) => {
          note(work, progress);
          if (!again || progress.step !== "waiting") this.#say(command, progress);
        },
      });
      log.add("change", "info", `${command}: ${this.#done(report)}`);
      return report;
    } catch (error) {
      if (!again) log.add("change", "error", `${command}: ${wordsOf(error)}`);
      throw error;
    } finally {
      this.#works.delete(work);
      this.#running = undefined;
    }
  }

  #say(command: string, progress: Progress): void {
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

function note(work: Work, progress: Progress): void {
  if (progress.step === "coordinating") work.coordinates = true;
  else if (progress.step === "copied") work.moved = progress.moved;
}

function wordsOf(error: unknown): string {
  return isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error);
}
