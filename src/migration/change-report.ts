/**
 * What a change did, put together at its end.
 *
 *   by the copier       moved, keysSeen, setsRead
 *   by the plan         setsTotal, ringShare, idealShare: by the document, where the change was resumed and its plan is gone
 *   by the coordinator  times, and what went with dead servers
 */
import type { View } from "../protocol/view.ts";
import { diffRings } from "../ring/index.ts";
import type { TopologyDocument } from "../topology/document.ts";
import type { CopyResult } from "./copier.ts";
import { type Plan, viewOf } from "./plan.ts";
import type { ChangeReport, LostKeys } from "./progress.ts";

/** What a coordinator knows of the change that it has carried through. */
export interface CarriedOut {
  readonly command: string;
  /** Undefined for a change that was resumed. */
  readonly plan: Plan | undefined;
  readonly copied: CopyResult;
  /** Of all of it. */
  readonly seconds: number;
  /** Of phase D alone. */
  readonly copySeconds: number;
  readonly resumed: boolean;
  readonly lost: LostKeys | undefined;
}

/** @param view of phase S */
export function reportOf({ document }: View, change: CarriedOut): ChangeReport {
  const { command, plan, copied, copySeconds, seconds, resumed, lost } = change;
  const known = plan ?? shapeOf(document);
  return {
    command,
    epoch: document.epoch,
    ...copied,
    setsRead: Math.max(copied.setsRead, plan?.setsRead ?? 0),
    setsTotal: known.setsTotal,
    ringShare: known.ringShare,
    idealShare: known.idealShare,
    seconds,
    keysPerSecond: copySeconds > 0 ? copied.moved / copySeconds : 0,
    resumed,
    ...(lost === undefined ? {} : { lost }),
  };
}

/** The shares of a migration that was resumed, from its document. */
function shapeOf(document: TopologyDocument): { setsTotal: number; ringShare: number; idealShare: number } {
  const before = viewOf({
    ...document,
    phase: "S",
    nodes: document.previousNodes ?? document.nodes,
    previousNodes: null,
  });
  const diff = diffRings(before.ring, viewOf(document).ring);
  return { setsTotal: before.ring.size, ringShare: diff.movedShare, idealShare: diff.movedShare };
}
