/** Where ringshift's own time goes, by the profiler: one turn each, which is not timed against anybody. */
import { ask } from "../child.ts";
import { OURS, WORKLOADS } from "../jobs/workloads.ts";
import type { Measure } from "../measure/stats.ts";
import { summariseRounds } from "../report/results.ts";
import { copyOnce } from "./migration.ts";
import type { Outcome, Part, PartOptions } from "./part.ts";
import { startServers } from "./servers.ts";

const PROFILED = ["get-hit-64", "set-known-64", "set-new-64", "get-256KiB-64"];
/** Longer than a turn: a sample each 0.2 ms has to add up. */
const TIMES = 3;
const MIGRATED_KEYS = 200_000;
const QUICK_KEYS = 5_000;

export const PROFILES: readonly Part[] = [
  ...PROFILED.map((workload) => ({
    names: [profileName(workload)],
    steps: () => 1,
    run: (options: PartOptions) => profileTurn(workload, options),
  })),
  { names: [profileName("migration")], steps: () => 1, run: profileCopy },
];

function profileName(workload: string): string {
  return `profile-${workload}`;
}

async function profileTurn(workload: string, options: PartOptions): Promise<Outcome> {
  const found = WORKLOADS.find(({ name }) => name === workload)!;
  const { pinning, warmUpSeconds, seconds, progress } = options;
  const cluster = await startServers(found.nodes, pinning);
  try {
    const { servers, redis, pids } = cluster;
    const where = { servers, redis, pids, id: "profile" };
    const times = { warmUpSeconds: TIMES * warmUpSeconds, seconds: TIMES * seconds };
    const measure = await ask<Measure>(
      { job: "turn", client: OURS, workload: found, ...where, ...times, profile: true },
      pinning.client,
    );
    progress.step(profileName(workload), measure);
    return summariseRounds(profileName(workload), [{ [OURS]: measure }]);
  } finally {
    await cluster.stop();
  }
}

async function profileCopy(options: PartOptions): Promise<Outcome> {
  const measure = await copyOnce(options.quick ? QUICK_KEYS : MIGRATED_KEYS, 3, options, true);
  options.progress.step(profileName("migration"), measure);
  return summariseRounds(profileName("migration"), [{ [OURS]: measure }]);
}
