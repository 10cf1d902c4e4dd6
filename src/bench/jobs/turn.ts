/** One client's turn at one workload, in a process of its own: connect, fill, warm up, measure. */
import { type BenchTarget, connectClient } from "../clients/clients.ts";
import { FloorBytes, type Run } from "../clients/floor-bytes.ts";
import { Meter, type ServerPids } from "../measure/meter.ts";
import { shareFigures, startProfile } from "../measure/profile.ts";
import { type RedisWork, redisWork } from "../measure/server-stats.ts";
import { portOf, SocketWatch } from "../measure/sockets.ts";
import type { Figures, Measure } from "../measure/stats.ts";
import { fill, type LaneRun, operationOf, runLanes, valueText } from "./load.ts";
import { keyList, type Workload } from "./workloads.ts";

export interface TurnTask {
  readonly job: "turn";
  readonly client: string;
  readonly workload: Workload;
  readonly servers: readonly string[];
  readonly redis: string;
  readonly pids: ServerPids;
  /** Tells this turn's new keys from others'. */
  readonly id: string;
  /** CPU time to get warm in. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  /** Afterwards once more under the profiler: fields `share of KIND`. */
  readonly profile?: boolean;
}

const MAX_WARM_UP_FACTOR = 10;

/** Runs for so many seconds. */
type Load = (seconds: number) => Promise<Run & Partial<LaneRun>>;

export async function turn(task: TurnTask): Promise<Measure> {
  const sockets = new SocketWatch(task.servers.map(portOf));
  const load = task.client === "floor-bytes" ? await floorLoad(task) : await clientLoad(task);
  await warmUp(load, task.warmUpSeconds);
  const index = task.workload.kind === "set-new" ? await IndexWatch.start(task.redis) : undefined;
  const meter = new Meter(task.pids, sockets);
  const { ops, latencies, wrong = 0 } = await load(task.seconds);
  const cost = meter.stop();
  if (ops === 0) throw new Error(`${task.workload.name}: no operation ended in ${cost.seconds} s`);
  const figures = cost.figures(ops);
  return {
    opsPerSecond: ops / cost.seconds,
    cpuMicrosPerOp: figures.cpuMicrosPerOp!,
    p50Micros: latencies.percentile(0.5),
    p99Micros: latencies.percentile(0.99),
    p999Micros: latencies.percentile(0.999),
    ...figures,
    ...(await index?.figures(ops)),
    ...(task.profile ? await profiled(load, task.seconds) : {}),
    wrong,
  };
}

/** Compiling takes CPU time, of which a busy machine gives little a second: so that is what is waited for, within reason. */
async function warmUp(load: Load, seconds: number): Promise<void> {
  const cpu = process.cpuUsage();
  const until = performance.now() + MAX_WARM_UP_FACTOR * seconds * 1000;
  for (let used = 0; used < seconds && performance.now() < until; ) {
    await load(seconds / 4);
    const { user, system } = process.cpuUsage(cpu);
    used = (user + system) / 1e6;
  }
}

/** Once more, under the profiler. */
async function profiled(load: Load, seconds: number): Promise<Figures> {
  const stop = await startProfile();
  await load(seconds);
  return shareFigures(await stop());
}

/** What recording keys costs in Redis. */
class IndexWatch {
  readonly #url: string;
  readonly #before: RedisWork;

  private constructor(url: string, before: RedisWork) {
    this.#url = url;
    this.#before = before;
  }

  static async start(url: string): Promise<IndexWatch> {
    return new IndexWatch(url, await redisWork(url));
  }

  async figures(ops: number): Promise<Figures> {
    const [before, after] = [this.#before, await redisWork(this.#url)];
    return {
      redisCallsPerOp: (after.calls - before.calls) / ops,
      redisCommandsPerOp: (after.commands - before.commands) / ops,
      redisBytesPerKey: (after.usedBytes - before.usedBytes) / ops,
    };
  }
}

async function floorLoad({ workload, servers }: TurnTask): Promise<Load> {
  const value = valueText(workload.valueBytes);
  const floor = await FloorBytes.open(servers, keyList(workload.keys), value);
  return floor.prepare(workload.kind, value, workload.inFlight);
}

async function clientLoad({ client: name, workload, servers, redis, id }: TurnTask): Promise<Load> {
  const target: BenchTarget = { servers, redis, valueBytes: workload.valueBytes };
  const client = await connectClient(name, target);
  await fill(client, workload);
  const operation = operationOf(workload, client, id);
  let next = 0;
  return async (seconds) => {
    const until = performance.now() + seconds * 1000;
    const run = await runLanes(operation, workload.inFlight, (now) => now < until, next);
    next = run.next;
    return run;
  };
}
