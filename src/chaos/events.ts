/** One key's operations and losses as the events that `key-checker.ts` goes through, in the order of time. */
import { isAmbiguous, isWrite, type Loss, type Operation } from "./history.ts";

/** An ambiguous write does not take effect later than this after its rejection. */
export const LATE_MS = 60_000;
/** Nor that of a process that was killed after this from its call: it may have been stopped for long before. */
export const LATE_OPEN_MS = 200_000;

/** A call that was answered sooner is taken to have been sent once. */
const TRY_MS = 50;

export type Event =
  | { readonly at: number; readonly kind: "call" | "answer" | "bound"; readonly operation: Operation }
  | { readonly at: number; readonly kind: "lossBegins" | "lossEnds"; readonly loss: Loss };

const ORDER = { call: 0, lossBegins: 1, answer: 2, lossEnds: 3, bound: 4 } as const;

/** An ambiguous write has taken effect by then, or never does. */
export function boundOf({ outcome, at, end }: Operation): number {
  return outcome === "open" ? at + LATE_OPEN_MS : end + LATE_MS;
}

export function eventsOf(operations: readonly Operation[], losses: readonly Loss[]): Event[] {
  const events: Event[] = [];
  for (const operation of operations) {
    const { at, end } = operation;
    if (operation.outcome === "refused") {
      const loss: Loss = { from: at, to: end, cause: "unstorable" };
      events.push({ at, kind: "lossBegins", loss }, { at: end, kind: "lossEnds", loss });
    }
    if (!matters(operation)) continue;
    events.push({ at, kind: "call", operation });
    if (mayHaveTriedBefore(operation)) {
      const first: Operation = { ...operation, id: -1 - operation.id, outcome: "io" };
      events.push({ at, kind: "call", operation: first }, { at: boundOf(first), kind: "bound", operation: first });
    }
    if (!isAmbiguous(operation)) events.push({ at: end, kind: "answer", operation });
    else {
      events.push({ at: boundOf(operation), kind: "bound", operation });
    }
  }
  for (const loss of losses) {
    events.push({ at: loss.from, kind: "lossBegins", loss }, { at: loss.to, kind: "lossEnds", loss });
  }
  return events.sort((a, b) => a.at - b.at || ORDER[a.kind] - ORDER[b.kind]);
}

/** `touch` and `gat` are sent again where no answer came, and each try may give its TTL. */
function mayHaveTriedBefore({ verb, outcome, at, end }: Operation): boolean {
  return (verb === "touch" || verb === "gat") && outcome === "ok" && end - at >= TRY_MS;
}

/** Reads that were not answered, writes that did nothing, and a cas that answered "no", which says nothing. */
function matters({ outcome, verb, result }: Operation): boolean {
  if (outcome === "none" || outcome === "refused") return false;
  if (outcome !== "ok") return isWrite(verb);
  return !(verb === "cas" && result === false);
}
