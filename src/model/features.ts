/** What may happen in a run. Drawn anew for each, so that few faults at once are seen as well as many. */
import type { Random } from "./random.ts";

export const FEATURES = [
  "multi",
  "evict",
  "ttl",
  "fence",
  "restart",
  "stall",
  "failover",
  "unreach",
  "crash",
  "pause",
  "cut",
  "slow",
  "abort",
  "cas",
  "fresh",
] as const;

export type Feature = (typeof FEATURES)[number];
export type Features = Readonly<Record<Feature, boolean>>;

/** How often a feature that is allowed is on. Those without an entry: two runs of three. */
const SHARE: Partial<Record<Feature, number>> = { fresh: 0.1 };

/** @param allowed undefined: all of them */
export function drawFeatures(random: Random, allowed: ReadonlySet<string> | undefined): Features {
  const drawn = FEATURES.map((name) => [name, random.chance(SHARE[name] ?? 0.65) && (allowed?.has(name) ?? true)]);
  return Object.fromEntries(drawn) as Features;
}
