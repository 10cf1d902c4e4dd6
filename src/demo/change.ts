/**
 * One change of the cluster under traffic, with what the clients met meanwhile.
 *
 * The copier alone would be through in a second and few requests would meet a moving key, so it is paced: the change takes as long as
 * the clients, at the pace they have shown, need for a good many operations.
 */
import type { Admin } from "../migration/admin.ts";
import type { Change } from "../migration/change.ts";
import type { ChangeReport } from "../migration/progress.ts";
import type { Crew, Totals } from "./crew.ts";

/** A change lasts at least this long, and as long as the clients need for so many operations. */
const MIN_SECONDS = 5;
const MIN_OPERATIONS = 50_000;
/** How long the clients are watched before a change to learn their pace. */
const WATCH_MS = 1_000;
/** On a machine too slow for that the demo still comes to an end. */
const MAX_SECONDS = 60;
/** Keys a second, so that copying many keys leaves the processors to the clients. */
const MAX_RATE = 5_000;

/** Figures of one change, as the document of `--json` has them. */
export interface ChangeFigures {
  /** `add-node memcached-4`, for example. */
  readonly change: string;
  /** Keys that went to another server, each counted once, by the copier or by a client. */
  readonly moved: number;
  /** `moved` as a part of the keys that had a value when the change began. */
  readonly movedShare: number;
  /** Part of the hash range that the two rings give different owners. */
  readonly ringShare: number;
  /** What any placement has to move: 1/n. */
  readonly idealShare: number;
  readonly setsRead: number;
  readonly setsTotal: number;
  /** From the first held write to the end of the copying. */
  readonly seconds: number;
  readonly keysPerSecond: number;
  /** What the clients did in these seconds. */
  readonly operations: number;
  readonly readsOfMovingKeys: number;
  readonly pulledByClients: number;
}

export interface ChangeContext {
  readonly admin: Admin;
  readonly crew: Crew;
  /** Keys with a value that no process of the crew owns: the counters. */
  readonly otherKeys: number;
  readonly signal: AbortSignal;
  readonly pause: (ms: number) => Promise<void>;
  /** Told what the copier has moved so far in this change. */
  readonly copied: (keys: number) => void;
}

/** @throws RingshiftError as `Admin.apply` does; Error when a client process ends */
export async function changeUnderTraffic(context: ChangeContext, name: string, change: Change): Promise<ChangeFigures> {
  const { admin, crew, signal } = context;
  const rate = await paceFor(context, (await admin.plan(change)).keys);
  const window = new Window(crew);
  const before = await crew.sample();
  const report = await admin.apply(change, {
    rate,
    signal,
    onProgress: (progress) => {
      if (progress.step === "fencing") window.open();
      if (progress.step === "copied") context.copied(progress.moved);
      if (progress.step === "settling" || progress.step === "cleaning") window.close();
    },
  });
  const after = await crew.sample();
  const { seconds, operations } = await window.result();
  return figures(name, report, before, after, context.otherKeys, { seconds, operations });
}

/** Keys a second for the copier. */
async function paceFor({ crew, pause }: ChangeContext, keys: number): Promise<number> {
  const begun = await crew.sample();
  await pause(WATCH_MS);
  const operations = (await crew.sample()).operations - begun.operations;
  const perSecond = operations / (WATCH_MS / 1_000);
  const seconds = Math.min(MAX_SECONDS, Math.max(MIN_SECONDS, MIN_OPERATIONS / Math.max(1, perSecond)));
  return Math.max(1, Math.min(MAX_RATE, keys / seconds));
}

/** The clients' operations between two moments of a change. */
class Window {
  readonly #crew: Crew;
  #from: { at: number; totals: Promise<Totals> } | undefined;
  #to: { at: number; totals: Promise<Totals> } | undefined;

  constructor(crew: Crew) {
    this.#crew = crew;
  }

  open(): void {
    this.#from ??= this.#now();
  }

  close(): void {
    this.#to ??= this.#now();
  }

  async result(): Promise<{ seconds: number; operations: number }> {
    if (this.#from === undefined || this.#to === undefined) throw new Error("the change reported no beginning or end");
    const [from, to] = await Promise.all([this.#from.totals, this.#to.totals]);
    return { seconds: (this.#to.at - this.#from.at) / 1_000, operations: to.operations - from.operations };
  }

  #now() {
    const totals = this.#crew.sample();
    totals.catch(() => {}); // whoever awaits it gets the error
    return { at: performance.now(), totals };
  }
}

function figures(
  change: string,
  report: ChangeReport,
  before: Totals,
  after: Totals,
  otherKeys: number,
  { seconds, operations }: { seconds: number; operations: number },
): ChangeFigures {
  const pulledByClients = after.pulled - before.pulled;
  const moved = report.moved + pulledByClients;
  return {
    change,
    moved,
    movedShare: moved / (before.present + otherKeys),
    ringShare: report.ringShare,
    idealShare: report.idealShare,
    setsRead: report.setsRead,
    setsTotal: report.setsTotal,
    seconds: Math.round(seconds * 1_000) / 1_000,
    keysPerSecond: Math.round(moved / seconds),
    operations,
    readsOfMovingKeys: after.readsOfMovingKeys - before.readsOfMovingKeys,
    pulledByClients,
  };
}
