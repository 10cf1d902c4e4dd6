/**
 * Throughput and latency while keys move: three servers become four under load, by a copier in a process of its own on the servers' cores, at three
 * stated rates and once unbounded. Steady is the same process, seconds before and seconds after.
 */
import { ask, startChild } from "../child.ts";
import type { MidAnswer, MidTask } from "../jobs/mid-load.ts";
import { type Kind, OURS } from "../jobs/workloads.ts";
import { type Measure, medianMeasure, type Round } from "../measure/stats.ts";
import { summariseRounds } from "../report/results.ts";
import { type Outcome, type Part, type PartOptions, roundsOf } from "./part.ts";
import { startServers } from "./servers.ts";

export const STEADY = "ringshift-steady";
/** Keys a second of the bounded copier. It has the core that the servers have, of which this takes a third on the machine of docs/performance.md. */
export const COPIER_RATE = 5_000;
/** A sixth of that core. */
export const SLOW_RATE = 2_500;
/** For the record: half of that core. */
const FAST_RATE = 10_000;

const KEYS = 200_000;
const QUICK_KEYS = 5_000;
/** So that the few keys are on their way for about a second: a busy machine's client would miss a shorter phase D. */
const QUICK_RATE = 1_000;
const NODES = 3;
/** Each of the two steady times is so many turns of a steady workload long. */
const STEADY_TURNS = 3;

interface Way {
  readonly name: string;
  readonly kind: Kind;
  readonly rate: number | undefined;
  /** At least so many rounds, unless the caller insists on a number. */
  readonly rounds?: number;
}

const WAYS: readonly Way[] = [
  // seconds lie between a round's two halves, in which a shared machine becomes faster or slower
  { name: "mid-migration-mix-2.5k", kind: "mix", rate: SLOW_RATE, rounds: 5 },
  { name: "mid-migration-mix", kind: "mix", rate: COPIER_RATE, rounds: 9 },
  { name: "mid-migration-mix-10k", kind: "mix", rate: FAST_RATE },
  { name: "mid-migration-mix-unbounded", kind: "mix", rate: undefined },
  { name: "mid-migration-get", kind: "get", rate: COPIER_RATE },
];

export const MID_MIGRATIONS: readonly Part[] = WAYS.map((way) => ({
  names: [way.name],
  steps: (options) => roundsOf(way.rounds, options),
  run: (options) => runWay(way, options),
}));

async function runWay(way: Way, options: PartOptions): Promise<Outcome> {
  const rounds: Round[] = [];
  for (let round = 0; round < roundsOf(way.rounds, options); round++) {
    const measures = await oneChange(way, options);
    options.progress.step(`${way.name} round ${round + 1}`, measures[OURS]);
    rounds.push(measures);
  }
  return summariseRounds(way.name, rounds);
}

async function oneChange({ kind, rate }: Way, options: PartOptions): Promise<Record<string, Measure>> {
  const { pinning, quick, warmUpSeconds, seconds } = options;
  const cluster = await startServers(NODES, pinning);
  try {
    const joining = await cluster.add();
    const { servers, redis, pids } = cluster;
    const load: MidTask = {
      job: "mid",
      ...{ servers, redis, pids, kind, valueBytes: 100, inFlight: 64 },
      keys: quick ? QUICK_KEYS : KEYS,
      ...{ warmUpSeconds, seconds: STEADY_TURNS * seconds },
    };
    const child = startChild<MidAnswer>(load, pinning.client);
    const { before } = await child.next();
    const change = { kind: "add-node", nodes: [{ address: joining.address }] } as const;
    const copying = ask<Measure>(
      {
        job: "copy",
        redis,
        servers: [...servers, joining.address],
        pids,
        change,
        rate: quick && rate !== undefined ? QUICK_RATE : rate,
      },
      pinning.servers,
    );
    const [{ mid }, copier] = await Promise.all([child.next(), copying]);
    child.send({ copied: true });
    const { after } = await child.next();
    const keysPerSecond = { copierKeysPerSecond: copier.opsPerSecond, copierCpuMicrosPerKey: copier.cpuMicrosPerOp };
    return { [OURS]: { ...mid!, ...keysPerSecond }, [STEADY]: medianMeasure([before!, after!]) };
  } finally {
    await cluster.stop();
  }
}
