/**
 * One workload, all its clients in turns:
 *
 *     round 1: ringshift, memjs, memcached ...    round 2: memjs, memcached ... ringshift    ...
 *
 * each turn a process of its own on the same servers, so that neither JIT nor heap of one client is another's. Each round begins with another
 * client, so that nobody always has the quiet or the busy end.
 */
import { ask } from "../child.ts";
import type { TurnTask } from "../jobs/turn.ts";
import { WORKLOADS, type Workload } from "../jobs/workloads.ts";
import type { Pinning } from "../measure/pinning.ts";
import type { Measure, Round } from "../measure/stats.ts";
import { summariseRounds } from "../report/results.ts";
import { type Part, type PartOptions, roundsOf } from "./part.ts";
import { startServers } from "./servers.ts";

/** Each workload is a part. */
export const STEADY_PARTS: readonly Part[] = WORKLOADS.map((workload) => ({
  names: [workload.name],
  steps: (options) => clientsOf(workload, options).length * roundsOf(workload.rounds, options),
  run: async (options) => summariseRounds(workload.name, await runRounds(workload, options)),
}));

function clientsOf({ clients }: Workload, options: Pick<PartOptions, "clients">): string[] {
  return clients.filter((client) => options.clients === undefined || options.clients.includes(client));
}

export async function runRounds(workload: Workload, options: PartOptions): Promise<Round[]> {
  const rounds: Round[] = [];
  const clients = clientsOf(workload, options);
  let servers = await startServers(workload.nodes, options.pinning);
  try {
    for (let round = 0; round < roundsOf(workload.rounds, options); round++) {
      if (round > 0 && workload.kind === "set-new") {
        await servers.stop(); // new keys fill the servers: each round begins with empty ones
        servers = await startServers(workload.nodes, options.pinning);
      }
      const measures: Record<string, Measure> = {};
      for (let turn = 0; turn < clients.length; turn++) {
        const client = clients[(turn + round) % clients.length]!;
        const { warmUpSeconds, seconds } = options;
        const id = `${turn}.${round}`;
        const { pids, redis, servers: addresses } = servers;
        const where = { servers: addresses, redis, pids };
        const task: TurnTask = { job: "turn", client, workload, ...where, id, warmUpSeconds, seconds };
        const measure = await attempt(task, options.pinning);
        if (measure !== undefined) measures[client] = measure;
        options.progress.step(`${workload.name} round ${round + 1} ${client}`, measure);
      }
      rounds.push(measures);
    }
  } finally {
    await servers.stop();
  }
  return rounds;
}

/** A turn that fails is missing from its round, which says so; the run goes on. */
async function attempt(task: TurnTask, { client }: Pinning): Promise<Measure | undefined> {
  try {
    return await ask<Measure>(task, client);
  } catch (error) {
    process.stderr.write(`${task.workload.name} ${task.client}: ${(error as Error).message}\n`);
    return undefined;
  }
}
