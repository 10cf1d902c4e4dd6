/** Incidents that follow from documents and from other incidents, by rule. */
import type { Fleet } from "./fleet.ts";
import type { Timeline } from "./timeline.ts";

/** Clients act by a document for so long after another one has been seen. */
const BLUR_MS = 2_000;
/** A fence that is lost is planted when somebody meets it, so it may have been lost for so long before. */
const LOST_FENCE_MS = 60_000;

export function explain(timeline: Timeline, fleet: Pick<Fleet, "slots">, rings: readonly string[]): void {
  for (const ring of rings) unstorable(timeline, fleet, ring);
  recovered(timeline);
}

/** In D, what moves to a server that refuses values is dropped where a client touches it, as Memcached drops what it cannot store. */
function unstorable(timeline: Timeline, fleet: Pick<Fleet, "slots">, ring: string): void {
  const small = fleet.slots.filter(({ limit }) => limit === "refuses" || limit === "smallItems");
  for (const { address } of small) timeline.refusing.add(address);
  for (const { from, to, document } of timeline.documents(ring)) {
    if (document.phase !== "D") continue;
    for (const { address } of small) {
      if (!document.nodes.some((node) => node.address === address)) continue;
      const span = { from: from - BLUR_MS, to: to + BLUR_MS };
      timeline.incidents.push({ ...span, cause: "unstorable", address, ring, gaining: true });
    }
  }
}

/**
 * While Redis may have forgotten a change, nobody can know what a server without a fence would have shown: our keys on it are deleted
 * (docs/protocol.md, Fail-over).
 */
function recovered(timeline: Timeline): void {
  const fenceless = timeline.incidents.filter(({ cause }) => cause === "killed" || cause === "flushed");
  for (const { ring, from, to } of timeline.unconfirmed) {
    const near = fenceless.filter((one) => one.to >= from - LOST_FENCE_MS && one.from <= to);
    for (const address of new Set(near.map(({ address }) => address))) {
      timeline.incidents.push({ from, to: to + BLUR_MS, cause: "recovered", address, ring });
    }
  }
}
