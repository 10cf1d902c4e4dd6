/** What a change reports while it runs; the command line, the demo and tests subscribe to the same events. */
import type { Plan } from "./plan.ts";

export type Progress =
  | { readonly step: "waiting"; readonly reason: string }
  /** This process has the lease: from here on it coordinates the work, and no longer only waits for its turn. */
  | { readonly step: "coordinating" }
  | { readonly step: "prepared"; readonly node: string; readonly version: string }
  | { readonly step: "planned"; readonly plan: Plan; readonly resumed: boolean }
  | { readonly step: "fencing"; readonly epoch: number }
  | { readonly step: "copying"; readonly epoch: number; readonly sets: number; readonly resumed: boolean }
  | {
      readonly step: "copied";
      readonly setsDone: number;
      readonly sets: number;
      readonly keysSeen: number;
      readonly moved: number;
    }
  | { readonly step: "dumping"; readonly node: string }
  /** `keys`: looked for at their old owners once more; none where the index is as it was copied. */
  | { readonly step: "verified"; readonly keys: number }
  | { readonly step: "cleaning" }
  | { readonly step: "settling" }
  | { readonly step: "done"; readonly report: ChangeReport };

export type OnProgress = (progress: Progress) => void;

/** What a change did. */
export interface ChangeReport {
  readonly command: string;
  readonly epoch: number;
  /** Keys that the copier moved; clients pull the rest when they touch them. */
  readonly moved: number;
  /** Index entries looked at in the arcs that changed owner. */
  readonly keysSeen: number;
  readonly setsRead: number;
  readonly setsTotal: number;
  readonly ringShare: number;
  readonly idealShare: number;
  /** From the publication of F to the end of the second pass. */
  readonly seconds: number;
  readonly keysPerSecond: number;
  readonly resumed: boolean;
  /** After the death of a server: what the index lists for it. Absent otherwise. */
  readonly lost?: LostKeys;
}

/** Keys that went with a dead server. Index entries: they may include expired or deleted keys. */
export interface LostKeys {
  readonly keys: number;
  /** The arcs of the dead servers that list any, in hash order. */
  readonly arcs: readonly LostArc[];
}

export interface LostArc {
  /** The hash before the arc's first; -1 when it begins at 0. */
  readonly after: number;
  readonly upTo: number;
  readonly from: string;
  readonly to: string;
  readonly keys: number;
}
