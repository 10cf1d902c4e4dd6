/** A client process of the chaos run, started by `crew.ts`. Gone when its channel closes, or by the nemesis. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { Random } from "../model/random.ts";
import { clockSince, JournalWriter } from "./journal.ts";
import { fillLate } from "./late-fills.ts";
import { type ChaosRule, openCrippled } from "./without.ts";
import { Workload } from "./workload.ts";

/** Of a call, and of one flush. Short, so that faults are met often. */
const TIMEOUT_MS = 3_000;
const IO_TIMEOUT_MS = 700;
const OPEN_AGAIN_MS = 100;

export interface WorkerTask {
  readonly redis: string;
  readonly rings: readonly string[];
  /** Process and life. */
  readonly name: string;
  readonly seed: number;
  readonly keys: number;
  readonly folder: string;
  /** `process.hrtime.bigint()` at the run's beginning, in decimal. */
  readonly startNs: string;
  /** Calls under way at a time, and ms between them. */
  readonly lanes: number;
  /** So many of the lanes prefer keys that are moving. */
  readonly stalkers: number;
  readonly pauseMs: number;
  readonly without: readonly ChaosRule[];
  /** Read every key once and end, instead of the workload. */
  readonly readAll: boolean;
}

/** The process knows all rings: from then on it can put them back. */
export interface WorkerOpened {
  readonly type: "opened";
}

/** What the process tells at its end, in numbers that only grow. */
export interface WorkerReport {
  readonly type: "report";
  readonly dropped: number;
  readonly pulled: number;
  readonly retries: number;
}

process.on("SIGINT", () => {}); // the run ends its processes itself
process.on("disconnect", () => process.exit());
process.once("message", (task: WorkerTask) => void work(task));

async function work(task: WorkerTask): Promise<void> {
  const { folder, name, startNs, seed, keys, readAll } = task;
  const without = new Set(task.without);
  fillLate(new Random(seed + 1));
  const rings = new Map<string, Client>();
  for (const ring of task.rings) rings.set(ring, await open(task, without, ring));
  process.send!({ type: "opened" } satisfies WorkerOpened, () => {});
  const journal = new JournalWriter(folder, name);
  const clock = clockSince(BigInt(startNs));
  const workload = new Workload({ rings, journal, random: new Random(seed), clock, name, keys, timeoutMs: TIMEOUT_MS });
  const lanes = readAll
    ? [workload.readAll()]
    : Array.from({ length: task.lanes }, (_, i) => workload.run(task.pauseMs, i < task.stalkers));
  process.on("message", (message) => {
    if (message === "stop") workload.stop();
  });
  await Promise.all(lanes);
  journal.close();
  const metrics = [...rings.values()].map((client) => client.metrics());
  const sum = (name: "dropped" | "pulled" | "retries") => metrics.reduce((all, one) => all + one[name], 0);
  const [dropped, pulled, retries] = [sum("dropped"), sum("pulled"), sum("retries")];
  const report: WorkerReport = { type: "report", dropped, pulled, retries };
  await Promise.all([...rings.values()].map((client) => client.quit()));
  process.send!(report, () => process.exit());
}

/** Redis may be away, or have forgotten the cluster until another client puts it back. */
async function open(task: WorkerTask, without: ReadonlySet<ChaosRule>, ring: string): Promise<Client> {
  const times = { timeoutMs: TIMEOUT_MS, ioTimeoutMs: IO_TIMEOUT_MS };
  for (;;) {
    try {
      const options = { redis: task.redis, namespace: ring, ...times };
      return await (without.size > 0 ? openCrippled(without, options) : createClient(options));
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      await sleep(OPEN_AGAIN_MS);
    }
  }
}
