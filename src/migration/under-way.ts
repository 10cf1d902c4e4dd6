/** What is known of a change while it runs, from the document and the journal: anybody may ask, nothing is changed. */
import type { TopologyDocument } from "../topology/document.ts";
import { isGone } from "../topology/lease.ts";
import type { ChangeStore, OperatorStore } from "../topology/store.ts";
import { arcsByPoint, viewOf } from "./plan.ts";

/**
 * `fencing`, `copying`: phases F and D. `cleaning`: every key has arrived, the old sets lose their entries. `settling`: done but for the
 * clients that have not acknowledged it. In all but the last the same command resumes a change that nobody coordinates.
 */
export type ChangeState = "fencing" | "copying" | "cleaning" | "settling";

export interface UnderWay {
  /** The command in words, as `commandText` says it. */
  readonly command: string;
  /** ISO 8601 time. */
  readonly startedAt: string;
  readonly state: ChangeState;
  /** Keys that copiers have moved, up to the last set they finished. */
  readonly moved: number;
  /** Sets copied, of `sets` that the change concerns. */
  readonly setsDone: number;
  readonly sets: number;
  /** Copiers have been told to stand still. */
  readonly paused?: boolean;
  /** It is being taken back: once it has ended, a change goes back to the nodes before it. */
  readonly aborting?: boolean;
  /** Servers declared dead whose keys wait for the end of it. */
  readonly dead?: readonly string[];
  /** The process that carries it on; undefined: nobody does. */
  readonly coordinator: { readonly host: string; readonly pid: number } | undefined;
}

/** @throws RingshiftError REDIS_UNREACHABLE */
export async function underWayOf(
  store: ChangeStore & Partial<Pick<OperatorStore, "readControl">>,
  document: TopologyDocument,
): Promise<UnderWay | undefined> {
  const { operation, phase } = document;
  if (operation === null) return undefined;
  const [journal, copied, holder, wish] = await Promise.all([
    store.readJournal(),
    store.copiedPoints(operation.id),
    store.leaseHolder(),
    store.readControl?.(),
  ]);
  const control = wish?.operation === operation.id ? wish : undefined;
  const own = journal?.operation === operation.id ? journal : undefined;
  const sets = arcsByPoint(viewOf(document).diff!).size;
  const state: ChangeState =
    phase === "F" ? "fencing" : phase === "D" ? "copying" : own?.state === "cleaning" ? "cleaning" : "settling";
  const [host, pid] = holder === null || isGone(holder) ? [] : holder.split(" ");
  return {
    command: operation.command,
    startedAt: operation.startedAt,
    state,
    moved: own?.moved ?? 0,
    setsDone: phase === "S" ? sets : copied.size,
    sets,
    paused: control?.paused ?? false,
    aborting: control?.abort?.operation === operation.id,
    dead: document.dead ?? [],
    coordinator: host === undefined ? undefined : { host, pid: Number(pid) },
  };
}
