/**
 * Migrations with nothing else going on: keys a second against a raw copy and a loop of memjs calls, and the work of a moved key as the
 * cluster's total grows. Three servers become four, so a quarter of the keys move.
 */
import { ask } from "../child.ts";
import { OURS } from "../jobs/workloads.ts";
import type { Measure, Round } from "../measure/stats.ts";
import { summariseRounds } from "../report/results.ts";
import { type Outcome, type Part, type PartOptions, roundsOf } from "./part.ts";
import { startServers } from "./servers.ts";

const NODES = 3;
const VALUE_BYTES = 100;
const QUICK_SHRINK = 20;
const COMPARED_ROUNDS = 5;

export const RAW_COPY = "raw-copy";
export const MEMJS_LOOP = "memjs-loop";

interface Size {
  readonly name: string;
  readonly keys: number;
  readonly nodes: number;
  /** In turns with the two other copies; else once and alone. */
  readonly compared: boolean;
}

const SIZES: readonly Size[] = [
  { name: "migration-20k", keys: 20_000, nodes: NODES, compared: false },
  { name: "migration-200k", keys: 200_000, nodes: NODES, compared: true },
  { name: "migration-1M", keys: 1_000_000, nodes: NODES, compared: true },
  /** As many keys move as of 20,000 on 3 nodes, in a cluster that has ten times as many in all. */
  { name: "migration-wide-200k", keys: 200_000, nodes: 39, compared: false },
];

export const MIGRATIONS: readonly Part[] = SIZES.map((size) => ({
  names: [size.name],
  steps: (options) => (size.compared ? 3 * roundsOf(COMPARED_ROUNDS, options) : 1),
  run: (options) => runSize(size, options),
}));

async function runSize({ name, keys: wanted, nodes, compared }: Size, options: PartOptions): Promise<Outcome> {
  const keys = options.quick ? wanted / QUICK_SHRINK : wanted;
  const rounds: Round[] = [];
  for (let round = 0; round < (compared ? roundsOf(COMPARED_ROUNDS, options) : 1); round++) {
    const others = compared ? await otherCopies(keys, options, `${name} round ${round + 1}`) : {};
    const ours = await copyOnce(keys, nodes, options);
    options.progress.step(`${name} round ${round + 1} ${OURS}`, ours);
    rounds.push({ [OURS]: ours, ...others });
  }
  return summariseRounds(name, rounds);
}

/** Fills servers of its own, adds one more, and has the copier move what belongs there. */
export async function copyOnce(
  keys: number,
  nodes: number,
  { pinning }: PartOptions,
  profile = false,
): Promise<Measure> {
  const cluster = await startServers(nodes, pinning);
  try {
    const { servers, redis } = cluster;
    await ask({ job: "fill", servers, redis, keys, valueBytes: VALUE_BYTES }, pinning.client);
    const { address } = await cluster.add();
    const change = { kind: "add-node", nodes: [{ address }] } as const;
    const { pids } = cluster;
    const task = {
      job: "copy",
      redis,
      servers: [...servers, address],
      pids,
      change,
      rate: undefined,
      profile,
    } as const;
    return await ask<Measure>(task, pinning.client);
  } finally {
    await cluster.stop();
  }
}

/** Both on servers of their own, which hold what is to move and nothing else. */
async function otherCopies(keys: number, options: PartOptions, label: string): Promise<Record<string, Measure>> {
  const { pinning, progress } = options;
  const cluster = await startServers(NODES, pinning);
  try {
    const { address: target } = await cluster.add();
    const place = { sources: cluster.servers, target, keys, valueBytes: VALUE_BYTES, pids: cluster.pids };
    const raw = await ask<Measure>({ job: "raw-copy", ...place }, pinning.client);
    progress.step(`${label} ${RAW_COPY}`, raw);
    const loop = await ask<Measure>({ job: "memjs-copy", ...place }, pinning.client);
    progress.step(`${label} ${MEMJS_LOOP}`, loop);
    return { [RAW_COPY]: raw, [MEMJS_LOOP]: loop };
  } finally {
    await cluster.stop();
  }
}
