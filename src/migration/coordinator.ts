/**
 * The coordinator: takes a change from S through F and D back to S (docs/protocol.md).
 *
 *   S ── check, purge (G) ── publish F ── drain ── arm ── D ── copy (K) ── publish S settling ── clean ── acknowledged ── S
 *
 * It may die anywhere: clients carry on from F, and the same command carries on from wherever the document stands.
 */
import { arm, waitForDrain } from "../protocol/arm.ts";
import type { PullOptions } from "../protocol/pull.ts";
import type { Session } from "../protocol/session.ts";
import { HOLD_OFF_MS } from "../protocol/settle.ts";
import { deadDestinations, type View } from "../protocol/view.ts";
import { highestFence, newFenceNumber, successor, type TopologyDocument } from "../topology/document.ts";
import type { ChangeStore, Settled } from "../topology/store.ts";
import { holdOff, raiseDestinations } from "./abandon.ts";
import { overtaken, purgeAndCheck } from "./before-f.ts";
import { applyChange, type Change, commandText, deadNames } from "./change.ts";
import { reportOf } from "./change-report.ts";
import { clean } from "./clean.ts";
import { noProgress, occupied, taken, takenBack } from "./conflicts.ts";
import { Copier, type CopyResult } from "./copier.ts";
import { countLost, requireDown, together } from "./dead.ts";
import { giveUp } from "./give-up.ts";
import { ViewEnded } from "./patience.ts";
import { makePlan, type Plan, viewOf } from "./plan.ts";
import { type PrepareOptions, type PrepareServers, prepareServers } from "./prepare.ts";
import type { ChangeReport, LostKeys, OnProgress } from "./progress.ts";
import { awaitConfirmed, awaitSettled } from "./ready.ts";

const TRIES = 50;
const RETRY_MS = 20;

export interface ChangeOptions extends PrepareOptions {
  readonly onProgress?: OnProgress | undefined;
  /** Keys a second that the copier moves at most. */
  readonly rate?: number | undefined;
  /** Stops the copier at the next batch: MIGRATION_STOPPED, and the same command resumes. */
  readonly signal?: AbortSignal | undefined;
}

/** What the commands around a change tell its coordinator. */
export interface CoordinatorOptions extends ChangeOptions {
  /** A last word before anything is touched: it rejects when the plan is refused. */
  readonly checkPlan?: ((plan: Plan, document: TopologyDocument) => Promise<void>) | undefined;
  /** Asked by the copier before each batch: resolves when it may go on with the operation, rejects when it is to stop. */
  readonly obey?: ((operation: string) => Promise<void>) | undefined;
  readonly unstorable?: PullOptions["unstorable"] | undefined;
}

export class Coordinator {
  readonly #session: Session;
  readonly #store: ChangeStore;
  readonly #options: CoordinatorOptions;
  readonly #report: OnProgress;
  readonly #prepare: PrepareServers;
  #lost: LostKeys | undefined;
  /** What went with destinations that were given up. */
  #crossed: LostKeys | undefined;

  constructor(
    session: Session,
    store: ChangeStore,
    options: CoordinatorOptions,
    prepare: PrepareServers = prepareServers,
  ) {
    this.#prepare = prepare;
    this.#session = session;
    this.#store = store;
    this.#options = options;
    this.#report = options.onProgress ?? (() => {});
  }

  /**
   * Carries the change through, or carries on with it. The caller holds the lease.
   * @throws RingshiftError; nothing has changed unless its code is MIGRATION_STOPPED, NODE_DOWN, UNCONFIRMED or WOULD_NOT_FIT after F
   */
  async run(change: Change): Promise<ChangeReport> {
    const command = commandText(change);
    await awaitConfirmed(this.#session, this.#report);
    let resumed = false;
    const { document } = await this.#session.look();
    if (await this.#unfinished(command, document)) {
      resumed = true;
    } else {
      if (document.phase !== "S") throw occupied(document);
      await this.#finishLast();
    }
    const started = this.#session.clock.now();
    const plan = resumed ? undefined : await this.#start(change, command);
    return this.#carryOn(command, plan, started, resumed, deadNames(change));
  }

  /** Carries on with whatever change stands unfinished; undefined when none does. The caller holds the lease. */
  async resume(): Promise<ChangeReport | undefined> {
    await awaitConfirmed(this.#session, this.#report);
    const { document } = await this.#session.look();
    const journal = await this.#store.readJournal();
    const cleaning = journal?.state === "cleaning" ? journal.command : undefined;
    const command = document.phase === "S" ? cleaning : document.operation?.command;
    if (command === undefined) return undefined;
    return this.#carryOn(command, undefined, this.#session.clock.now(), true, document.dead ?? []);
  }

  /** The same change is under way, or its coordinator died between S and the end of the cleaning. */
  async #unfinished(command: string, document: TopologyDocument): Promise<boolean> {
    if (document.phase !== "S") return document.operation?.command === command;
    const journal = await this.#store.readJournal();
    return journal?.command === command && journal.state === "cleaning";
  }

  /** S → F. */
  async #start(change: Change, command: string): Promise<Plan> {
    const { document, confirmed } = await this.#session.look();
    // another coordinator may have been here since `run` looked: an F on top of its F would forget where the keys are
    if (document.phase !== "S" || document.settling || !confirmed) throw overtaken();
    const { nodes, nextIndex } = applyChange(document, change);
    const dead = deadNames(change);
    await requireDown(this.#session, document, dead);
    viewOf({ ...document, nodes }); // bad weights and vnode counts are refused here, before anything is touched
    const joining = nodes.filter((node) => !document.nodes.some((other) => other.index === node.index));
    if (joining.length > 0) {
      const versions = await this.#prepare(this.#session, joining, highestFence(document), {
        ...this.#options,
        members: document.nodes.filter(({ name }) => !dead.includes(name)),
        adopt: false, // what a server holds that was no member until now is old
        beforeFlush: async () => {
          if ((await this.#session.look()).document.id !== document.id) throw overtaken();
        },
      });
      for (const [i, node] of joining.entries()) {
        this.#report({ step: "prepared", node: node.name, version: versions[i]! });
      }
    }
    const plan = await makePlan(this.#store, document, nodes);
    this.#report({ step: "planned", plan, resumed: false });
    await this.#options.checkPlan?.(plan, { ...document, dead });
    const fenced = await purgeAndCheck(
      this.#session,
      { ...document, dead },
      nodes,
      new Set(joining.map((node) => node.name)),
    );
    const number = newFenceNumber(document, this.#session.clock.random());
    const fences = { ...document.fences };
    for (const name of fenced) fences[name] = number;
    for (const node of joining) fences[node.name] = number;
    const next = successor(document, document.runId, {
      phase: "F",
      nodes,
      previousNodes: document.nodes,
      nextIndex,
      fences,
      settling: false,
      dead,
      operation: { id: this.#session.clock.randomId(), command, startedAt: new Date().toISOString() },
    });
    await this.#store.clearCopiedPoints();
    await this.#store.writeJournal({ operation: next.operation!.id, command, state: "copying", moved: 0 });
    const outcome = await this.#store.publish(document.id, next, next.runId);
    if (outcome !== "published") {
      throw overtaken();
    }
    return plan;
  }

  /** From whatever phase the document is in to settled S. */
  async #carryOn(
    command: string,
    plan: Plan | undefined,
    started: number,
    resumed: boolean,
    dead: readonly string[],
  ): Promise<ChangeReport> {
    let copied: CopyResult = { moved: 0, keysSeen: 0, setsRead: 0 };
    let copySeconds = 0;
    for (let i = 0; i < TRIES; i++) {
      await awaitConfirmed(this.#session, this.#report);
      const view = await this.#session.look();
      const ours = view.document.operation?.command === command;
      const settled = !ours && (await this.#unfinished(command, view.document)); // the clients were faster
      if (!ours && !settled) throw taken(view.document);
      switch (view.document.phase) {
        case "F":
          await this.#fence(view);
          break;
        case "D": {
          const before = this.#session.clock.now();
          const result = await this.#copy(view);
          if (result !== undefined) copied = result;
          copySeconds += (this.#session.clock.now() - before) / 1000;
          break;
        }
        case "S": {
          this.#lost ??= await countLost(this.#session, view, dead);
          const seconds = (this.#session.clock.now() - started) / 1000;
          const report = reportOf(view, { command, plan, copied, copySeconds, seconds, resumed, lost: this.#lost });
          await this.#finish(view);
          this.#report({ step: "done", report });
          return report;
        }
      }
    }
    throw noProgress();
  }

  async #fence(view: View): Promise<void> {
    this.#report({ step: "fencing", epoch: view.document.epoch });
    await waitForDrain(this.#session, view.document.epoch);
    const { clock } = this.#session;
    const deadline = clock.now() + HOLD_OFF_MS;
    for (;;) {
      const armed = await arm(this.#session, view, clock.now() > deadline);
      if (armed === "aborted") throw takenBack();
      if (armed !== "waiting") return;
      await clock.sleep(RETRY_MS);
    }
  }

  /** D → S. Undefined when another process has published in between. */
  async #copy(view: View): Promise<CopyResult | undefined> {
    const { id: operation, command } = view.document.operation!;
    const movedBefore = (await this.#store.readJournal())?.moved ?? 0;
    let moved = movedBefore;
    const copier = new Copier(this.#session, view, {
      onProgress: this.#report,
      rate: this.#options.rate,
      signal: this.#options.signal,
      obey: this.#options.obey && (() => this.#options.obey!(operation)),
      unstorable: this.#options.unstorable,
      done: await this.#store.copiedPoints(operation),
      pointDone: async (point, count) => {
        moved += count;
        await this.#store.addCopiedPoint(operation, point);
        await this.#store.writeJournal({ operation, command, state: "copying", moved });
      },
    });
    let result: CopyResult;
    try {
      if (deadDestinations(view).length > 0) {
        this.#crossed = together(this.#crossed, await giveUp(this.#session, this.#store, view));
        return undefined;
      }
      await raiseDestinations(this.#session, view);
      const since = this.#session.clock.now();
      result = await copier.run();
      moved = movedBefore + result.moved; // with what was found by metadump and in the second pass
      await holdOff(this.#session, view, since);
      const lost = await countLost(this.#session, view, view.document.dead ?? []);
      this.#lost = together(this.#crossed, lost);
    } catch (error) {
      if (error instanceof ViewEnded) return undefined;
      throw error;
    }
    const { document } = view;
    const migrations = document.migrations + 1;
    const settled = { migrations, previousNodes: document.previousNodes ?? [] };
    await this.#store.writeJournal({ operation, command, state: "cleaning", moved, settled });
    const next = successor(document, document.runId, {
      phase: "S",
      settling: true,
      migrations,
      dead: [],
    });
    await this.#store.publish(document.id, next, document.runId);
    return { ...result, moved };
  }

  /** The last change has settled; where its coordinator died before the cleaning was done, that is done first. */
  async #finishLast(): Promise<void> {
    const view = await this.#session.look();
    if ((await this.#store.readJournal())?.state === "cleaning") await this.#finish(view);
    else await awaitSettled(this.#session, this.#report);
  }

  /** The settling ends, then the old sets lose the moved entries (clean.ts). */
  async #finish(view: View): Promise<void> {
    const journal = await this.#store.readJournal();
    await awaitSettled(this.#session, this.#report);
    this.#report({ step: "cleaning" });
    await clean(this.#session, this.#store, unsettled(view, journal?.settled));
    const present = await this.#store.readJournal();
    if (present !== undefined && present.operation === journal?.operation) {
      await this.#store.writeJournal({ ...present, state: "done" });
    }
    await this.#store.clearCopiedPoints();
  }
}

/**
 * The view with the change's old ring, also where the clients have ended the settling already, or what settles now is a refence (refence.ts),
 * whose previous nodes are the present ones.
 */
function unsettled(view: View, settled: Settled | undefined): View {
  const { document } = view;
  if (settled?.migrations !== document.migrations) return view;
  return viewOf({ ...document, settling: true, previousNodes: settled.previousNodes });
}
