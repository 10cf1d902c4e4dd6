/**
 * A chaos run: real servers behind proxies, client processes that log every call, operators that change the rings without pause, a nemesis; then
 * peace, the last change ended, every key read once more, the index swept and verified; then the judge.
 *
 * Two rings share the servers and Redis, each a namespace of its own, so that one run sees twice the changes.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { VerifyReport } from "../migration/verify.ts";
import { Random } from "../model/random.ts";
import { Member, type MemberTask } from "./crew.ts";
import { explain } from "./explain.ts";
import type { Fault } from "./faults.ts";
import { Fleet, type Limit } from "./fleet.ts";
import { clockSince } from "./journal.ts";
import { type Judgement, judgeRun } from "./judge.ts";
import { Nemesis } from "./nemesis.ts";
import { Operators } from "./operators.ts";
import { Timeline } from "./timeline.ts";
import { Watch } from "./watch.ts";
import type { ChaosRule } from "./without.ts";

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly without: readonly ChaosRule[];
  /** Client processes. */
  readonly clients: number;
  /** ms between two faults, on average. */
  readonly everyMs: number;
  /** An empty folder that the log is written to and left in. Default: a temporary one. */
  readonly keep?: string | undefined;
  /** Told what happens, a line at a time. */
  readonly log: (text: string) => void;
}

export interface ChaosReport extends Omit<Judgement, "texts"> {
  readonly seed: number;
  readonly seconds: number;
  readonly faults: Readonly<Record<Fault, number>>;
  readonly migrations: number;
  /** Values that clients dropped on the way to a server that could not store them. */
  readonly dropped: number;
  readonly verify: Readonly<Record<string, VerifyReport | string>>;
  readonly passed: boolean;
}

const RINGS = ["a", "b"] as const;
const KEYS = 240;
const LIMITS: readonly Limit[] = ["none", "none", "none", "none", "refuses", "evicts", "smallItems"];
const FIRST_NODES = 3;
const LANES = 16;
/** Of them: lanes that prefer keys that are moving. */
const STALKERS = 4;
/** ms between two calls of a lane: more than a thousand calls a second with six processes, for which two cores are four fifths busy. */
const PAUSE_MS = 30;
const DOCUMENT_MS = 30_000;
const OPEN_MS = 60_000;
const FINISH_MS = 180_000;
/** Of the run's time: so long traffic goes on after the last fault. */
const CALM_SHARE = 0.1;
/** Of a run of ten minutes; a shorter one has shorter stops. */
const FULL_MINUTES = 5;

/** @throws Error when the run cannot be carried through: that is neither a pass nor a violation */
export async function runChaos(options: ChaosOptions): Promise<{ report: ChaosReport; texts: readonly string[] }> {
  const folder = options.keep ?? mkdtempSync(join(tmpdir(), "ringshift-chaos-"));
  const startNs = process.hrtime.bigint();
  const random = new Random(options.seed);
  const fleet = await Fleet.start(LIMITS, options.clients, random);
  const run = new Run(options, folder, startNs, random, fleet);
  try {
    return await run.carryThrough();
  } finally {
    await run.end();
    await fleet.stop();
    if (options.keep === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

class Run {
  readonly #options: ChaosOptions;
  readonly #folder: string;
  readonly #random: Random;
  readonly #fleet: Fleet;
  readonly #clock: () => number;
  readonly #timeline = new Timeline();
  readonly #task: MemberTask;
  readonly #operators: readonly Operators[];
  readonly #crew: Member[] = [];
  #watch: Watch | undefined;

  constructor(options: ChaosOptions, folder: string, startNs: bigint, random: Random, fleet: Fleet) {
    this.#options = options;
    this.#folder = join(folder, "log");
    mkdirSync(this.#folder, { recursive: true });
    this.#random = random;
    this.#fleet = fleet;
    this.#clock = clockSince(startNs);
    this.#task = {
      redis: fleet.redisUrl,
      rings: RINGS,
      keys: KEYS,
      folder: this.#folder,
      startNs: String(startNs),
      lanes: LANES,
      stalkers: STALKERS,
      pauseMs: PAUSE_MS,
      without: options.without,
      readAll: false,
    };
    const shared = { fleet, timeline: this.#timeline, clock: this.#clock, log: (text: string) => this.#log(text) };
    this.#operators = RINGS.map((ring, i) => {
      return new Operators({ ...shared, ring, random: new Random(options.seed * 31 + i) });
    });
  }

  async carryThrough(): Promise<{ report: ChaosReport; texts: readonly string[] }> {
    await this.#initialise();
    const migrationsBefore = this.#migrations();
    const nemesis = await this.#storm();
    const verify: Record<string, VerifyReport | string> = {};
    try {
      await this.#peace();
      for (const [i, ring] of RINGS.entries()) verify[ring] = await this.#verify(this.#operators[i]!);
    } catch (error) {
      for (const ring of RINGS) verify[ring] ??= String(error); // what was logged is judged all the same
    }
    await this.end();
    const failure = this.#crew.find(({ failure }) => failure !== undefined)?.failure;
    if (failure !== undefined) throw new Error(failure);
    explain(this.#timeline, this.#fleet, RINGS);
    writeFileSync(join(this.#folder, "timeline.json"), this.#timeline.toText(RINGS));
    const { texts, ...judgement } = judgeRun(this.#folder, this.#timeline);
    const clean = Object.values(verify).every((report) => typeof report !== "string" && report.clean);
    const wrong = Object.values(judgement.violations).reduce((sum, count) => sum + count, 0);
    const report: ChaosReport = {
      seed: this.#options.seed,
      seconds: Math.round(this.#clock() / 1000),
      faults: nemesis.counts,
      migrations: this.#migrations() - migrationsBefore,
      dropped: this.#crew.reduce((sum, member) => sum + member.dropped, 0),
      ...judgement,
      verify,
      passed: wrong === 0 && clean,
    };
    return { report, texts };
  }

  /** Ends every process that this run has started, but for the fleet's. */
  async end(): Promise<void> {
    for (const operators of this.#operators) operators.end();
    await this.#watch?.stop().catch(() => {});
    await Promise.all(this.#crew.map(async (member) => member.condition !== "dead" && (await member.kill())));
  }

  async #initialise(): Promise<void> {
    const addresses = this.#fleet.slots.slice(0, FIRST_NODES).map(({ address }) => address);
    for (const operators of this.#operators) {
      const { code, output } = await operators.command(["init", ...addresses]);
      if (code !== 0) throw new Error(`the cluster cannot be started: ${output}`);
    }
    this.#watch = new Watch(this.#fleet, RINGS, this.#timeline, this.#clock);
    await this.#documents();
  }

  /** Redis has both rings' documents: at the beginning, and when clients have put back what it had forgotten. */
  async #documents(): Promise<void> {
    const until = this.#clock() + DOCUMENT_MS;
    while (!RINGS.every((ring) => this.#watch!.present.has(ring))) {
      if (this.#clock() > until) throw new Error("Redis does not know the rings, and no client puts them back");
      await sleep(20);
    }
  }

  /** Every client knows the rings: a Redis that is emptied before that has nobody to tell it. */
  async #opened(): Promise<void> {
    const until = this.#clock() + OPEN_MS;
    while (!this.#crew.every(({ knows }) => knows)) {
      if (this.#clock() > until) throw new Error(`not all clients are open after ${OPEN_MS} ms`);
      await sleep(20);
    }
  }

  /** Traffic, changes and faults, for the time that was asked for. */
  async #storm(): Promise<Nemesis> {
    const { clients, seed, minutes, everyMs } = this.#options;
    for (let number = 1; number <= clients; number++) {
      const redis = this.#fleet.clientRedisUrls[number - 1]!;
      this.#crew.push(new Member(number, { ...this.#task, redis }, seed * 1_000 + number * 50));
    }
    await this.#opened();
    const changing = this.#operators.map((operators) => operators.run());
    const nemesis = new Nemesis({
      fleet: this.#fleet,
      crew: this.#crew,
      operators: this.#operators,
      timeline: this.#timeline,
      random: this.#random,
      clock: this.#clock,
      log: (text) => this.#log(text),
      everyMs,
      scale: Math.min(1, minutes / FULL_MINUTES),
    });
    const raging = nemesis.run();
    await Promise.race([sleep(minutes * 60_000), ...changing, raging]);
    await nemesis.stop();
    await this.#fleet.heal();
    for (const operators of this.#operators) operators.stop();
    await Promise.all([raging, ...changing]);
    return nemesis;
  }

  /** The changes end, at first under traffic, and every key is read once more. Clients that have gone hold up no settling. */
  async #peace(): Promise<void> {
    this.#log("peace");
    const finishing = Promise.all(this.#operators.map((operators) => operators.finish(FINISH_MS)));
    await Promise.race([finishing, sleep(this.#options.minutes * 60_000 * CALM_SHARE)]);
    await this.#documents(); // with the last client it would be gone for good
    await Promise.all(this.#crew.map((member) => member.end()));
    await finishing;
    const reader = new Member(0, { ...this.#task, readAll: true }, 0);
    this.#crew.push(reader);
    await reader.done();
  }

  /** As docs/operations.md says: what may be listed incompletely is read, the index made anew, then all of it compared. */
  async #verify(operators: Operators): Promise<VerifyReport | string> {
    const first = await this.#report(operators, ["verify"]);
    if (typeof first === "string") return first;
    const commands = [...first.incomplete.map((node) => ["reindex", node]), ["sweep"]];
    for (const command of commands) {
      const { code, output } = await operators.command(command);
      if (code !== 0) return output;
    }
    return this.#report(operators, ["verify", "--full"]);
  }

  async #report(operators: Operators, args: readonly string[]): Promise<VerifyReport | string> {
    const { stdout, output } = await operators.command(args);
    const report = stdout === "" ? undefined : (JSON.parse(stdout) as VerifyReport | { readonly error: unknown });
    return report === undefined || "error" in report ? output : report;
  }

  #migrations(): number {
    return RINGS.reduce((sum, ring) => sum + (this.#timeline.latest(ring)?.migrations ?? 0), 0);
  }

  #log(text: string): void {
    this.#options.log(`${(this.#clock() / 1000).toFixed(1).padStart(7)} ${text}`);
  }
}
