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
  "tight",
  "dead",
  "rival",
  "upkeep",
  "load",
] as const;

export type Feature = (typeof FEATURES)[number];
export type Features = Readonly<Record<Feature, boolean>>;

/** How often a feature that is allowed is on. Those without an entry: two runs of three. */
const SHARE: Partial<Record<Feature, number>> = {
  fresh: 0.1,
  tight: 0.08,
  dead: 0.1,
  rival: 0.15,
  upkeep: 0.15,
  load: 0.4,
};

/** @param allowed undefined: all of them. @param on those that are on if they are allowed */
export function drawFeatures(
  random: Random,
  allowed: ReadonlySet<string> | undefined,
  on: readonly Feature[],
): Features {
  const drawn = FEATURES.map((name) => {
    const chosen = random.chance(SHARE[name] ?? 0.65) || on.includes(name);
    return [name, chosen && (allowed?.has(name) ?? true)];
  });
  return Object.fromEntries(drawn) as Features;
}
