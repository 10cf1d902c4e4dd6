/** The parts that are about no traffic: building and asking the ring, and what the index takes in Redis. */
import { ask } from "../child.ts";
import { OURS } from "../jobs/workloads.ts";
import type { Measure } from "../measure/stats.ts";
import { summariseRounds } from "../report/results.ts";
import type { Outcome, Part, PartOptions } from "./part.ts";
import { startServers } from "./servers.ts";

export const RING_SIZES: readonly number[] = [3, 10, 100, 1000];
export const PROTOTYPE = "prototype-listpacks";

const INDEX_KEYS = [100_000, 1_000_000];

/** On no core of its own: it has no servers beside it, and V8's compiling threads would take turns with what they compile. */
export const RING_PARTS: readonly Part[] = RING_SIZES.map((nodes) => ({
  names: [`ring-${nodes}`],
  steps: ({ rounds }) => rounds,
  run: async (options) => {
    const rounds = [];
    for (let round = 0; round < options.rounds; round++) {
      const measure = await ask<Measure>({ job: "ring", nodes }, undefined);
      options.progress.step(`ring-${nodes} round ${round + 1}`, measure);
      rounds.push({ [OURS]: measure });
    }
    return summariseRounds(`ring-${nodes}`, rounds);
  },
}));

export const INDEX_PARTS: readonly Part[] = INDEX_KEYS.map((keys) => ({
  names: [`index-${keys}`],
  steps: () => 2,
  run: (options) => runIndex(`index-${keys}`, options.quick ? keys / 20 : keys, options),
}));

/** Once: Redis' own count of its memory has no noise worth a median. */
async function runIndex(name: string, keys: number, { pinning, progress }: PartOptions): Promise<Outcome> {
  const measures: Record<string, Measure> = {};
  for (const [client, form] of [
    [OURS, "sets"],
    [PROTOTYPE, "listpacks"],
  ] as const) {
    const cluster = await startServers(3, pinning);
    try {
      const { servers, redis } = cluster;
      measures[client] = await ask<Measure>({ job: "index", servers, redis, keys, form }, pinning.client);
      progress.step(`${name} ${client}`, measures[client]);
    } finally {
      await cluster.stop();
    }
  }
  return summariseRounds(name, [measures]);
}
