/**
 * `migration abort`: the old ring is back, and everything readable.
 *
 *   F       S with the old nodes at once: no key has moved
 *   D       forward to S, then a migration of its own back to the nodes before. A reversal in D could not tell which side of a key is newer
 *
 * The wish is in Redis before anything else, so that the copiers of another process stop, and that running the abort again resumes it.
 * Both ways are gone to their end, whether there is room or not: what a server cannot store is dropped, as Memcached drops it, and counted. Who
 * aborts wants the old ring; a refusal would leave him in between.
 */
import { isDeepStrictEqual } from "node:util";
import { RingshiftError } from "../errors.ts";
import { abort } from "../protocol/arm.ts";
import type { Session } from "../protocol/session.ts";
import { settle } from "../protocol/settle.ts";
import { isDead, type TopologyDocument } from "../topology/document.ts";
import type { AbortWish, Control, OperatorStore } from "../topology/store.ts";
import { ABORT_COMMAND } from "./change.ts";
import { Coordinator, type CoordinatorOptions } from "./coordinator.ts";
import type { ChangeReport } from "./progress.ts";
import { awaitConfirmed } from "./ready.ts";

export interface AbortReport {
  /** `taken-back`: nothing had moved yet. `reversed`: by a migration forward and one back. */
  readonly outcome: "taken-back" | "reversed";
  /** Values that a server on the way could not store. */
  readonly dropped: number;
  /** The migration back, where there was one. */
  readonly change?: ChangeReport;
}

/**
 * @param leased runs work under the lease, which the coordinator of the aborted change gives back when it sees the wish
 * @throws RingshiftError INVALID_OPTION when there is nothing to abort, LAST_NODE when no node of the old ring lives; MIGRATION_STOPPED, also when
 * another change has come after the one to abort; else as a change: the same call resumes
 */
export async function abortChange(
  session: Session,
  store: OperatorStore,
  options: CoordinatorOptions,
  leased: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<AbortReport> {
  const report = options.onProgress ?? (() => {});
  for (;;) {
    await awaitConfirmed(session, report);
    const view = await session.look();
    const { document } = view;
    if (document.phase !== "F" || document.operation?.command === ABORT_COMMAND || document.recovered) break;
    if ((await abort(session, view)) !== "aborted") continue;
    await settle(session, () => report({ step: "settling" }));
    return { outcome: "taken-back", dropped: 0 };
  }
  const wished = await wish(store, session.view.document);
  return leased(() => reverse(session, store, options, wished));
}

/** Puts the wish on record, unless the abort is on its way already; undefined when it is on its way back and nobody remembers the wish. */
async function wish(store: OperatorStore, document: TopologyDocument): Promise<AbortWish | undefined> {
  const { operation, phase, previousNodes, migrations } = document;
  const standing = (await store.readControl())?.abort;
  if (phase === "S") {
    if (isPending(standing, document)) return standing;
    throw new RingshiftError(
      "INVALID_OPTION",
      "No change is under way, so there is nothing to abort. One that has ended is reversed by its opposite.",
    );
  }
  const way = operation!.command === ABORT_COMMAND ? 1 : 0; // on its way back, the migration forward has ended
  const stands = standing?.migrations === migrations - way;
  if (stands && (way === 1 || standing.operation === operation!.id)) return standing; // a change that gave up a server has another id since
  if (way === 1) return undefined; // Redis may also remember the wish of an earlier abort
  const back = previousNodes!.filter((node) => !isDead(document, node.name));
  if (back.length === 0) throw noWayBack();
  if (isDeepStrictEqual(back, document.nodes)) throw nothingToReverse();
  const abort = { operation: operation!.id, back, migrations };
  await store.writeControl({ operation: operation!.id, paused: false, abort });
  return abort;
}

/** Forward is done, back is not, and nothing else has changed the ring since. */
function isPending(wished: AbortWish | undefined, document: TopologyDocument): boolean {
  return document.phase === "S" && wished !== undefined && document.migrations === wished.migrations + 1;
}

/** The wish on record is about what is under way, forward or back. One that another change has overtaken is about nothing any more. */
export function isAborting(control: Control | undefined, document: TopologyDocument): boolean {
  const wished = control?.abort;
  if (document.phase === "S") return isPending(wished, document);
  return (
    wished !== undefined && (document.operation!.command === ABORT_COMMAND || wished.migrations === document.migrations)
  );
}

async function reverse(
  session: Session,
  store: OperatorStore,
  options: CoordinatorOptions,
  wished: AbortWish | undefined,
): Promise<AbortReport> {
  const way = await wayOf(session, store, wished);
  const droppedBefore = session.counters.dropped;
  const all: CoordinatorOptions = { ...options, checkPlan: undefined, unstorable: "drop" };
  // the wish stops whoever else goes forward
  const resuming = new Coordinator(session, store, way === "back" ? all : { ...all, obey: undefined });
  const forward = await resuming.resume();
  const { document } = await session.look();
  let change = forward?.command === ABORT_COMMAND ? forward : undefined;
  if (isPending(wished, document)) {
    change = await new Coordinator(session, store, all).run({ kind: "restore", nodes: wished!.back });
  }
  await store.writeControl(undefined);
  const dropped = session.counters.dropped - droppedBefore;
  return { outcome: "reversed", dropped, ...(change === undefined ? {} : { change }) };
}

/**
 * On which way the abort is: to carry the change through, or back. It has waited for the lease: the change's own coordinator may have ended it, and
 * others may have gone on from there.
 * @throws RingshiftError MIGRATION_STOPPED
 */
async function wayOf(
  session: Session,
  store: OperatorStore,
  wished: AbortWish | undefined,
): Promise<"forward" | "back"> {
  const { document } = await session.look();
  const forward = document.phase === "S" ? 1 : 0; // migrations that have ended since the wish, on the way forward; on the way back one more
  const ended = wished === undefined ? forward + 1 : document.migrations - wished.migrations;
  if (ended === forward) return "forward";
  const command = document.operation?.command ?? (await store.readJournal())?.command;
  if (command === ABORT_COMMAND && ended === forward + 1) return "back"; // or there, by somebody else
  throw new RingshiftError(
    "MIGRATION_STOPPED",
    `The change to abort has ended, and another one (${command}) has come after it, so nothing was taken back: see ringshift status.`,
  );
}

/** `remove-node --dead` in D: what it takes out is gone for good. */
function nothingToReverse(): RingshiftError {
  return new RingshiftError(
    "INVALID_OPTION",
    "The change under way takes out dead servers alone, so there is nothing to go back to: ringshift migration resume carries it through.",
  );
}

function noWayBack(): RingshiftError {
  return new RingshiftError(
    "LAST_NODE",
    "Every node of the old ring is dead, so there is nothing to go back to: ringshift migration resume goes on to the new one.",
  );
}
