/**
 * A load over a change of the ring. Steady first; then the parent starts a copier, and what is measured is the time in phase D, when moving keys
 * have two owners; then steady again, so that a machine that becomes faster or slower on the way does so on both sides of D:
 *
 *     fill, warm up │ steady │ ... S, F ... │ D, measured │ S, settling, cleaning │ steady
 *                            └─► `before` to the parent,  └─► `mid`                ▲
 *                                which starts the copier                          parent: the copier is done
 */
import { TIMEOUT_MS } from "../clients/clients.ts";
import { openRingshift } from "../clients/ringshift.ts";
import { type Cost, Meter, type ServerPids } from "../measure/meter.ts";
import { SocketWatch } from "../measure/sockets.ts";
import type { Measure } from "../measure/stats.ts";
import { fillCluster } from "./fill.ts";
import { type LaneRun, operationOf, runLanes } from "./load.ts";
import type { Kind } from "./workloads.ts";

export interface MidTask {
  readonly job: "mid";
  readonly servers: readonly string[];
  readonly redis: string;
  readonly pids: ServerPids;
  readonly kind: Kind;
  readonly keys: number;
  readonly valueBytes: number;
  readonly inFlight: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/** First with `before`, then with `mid`, then with `after`. */
export interface MidAnswer {
  readonly before?: Measure;
  readonly mid?: Measure;
  readonly after?: Measure;
}

/** @param told resolves when the copier is done */
export async function loadMidway(
  task: MidTask,
  report: (answer: MidAnswer) => void,
  told: Promise<void>,
): Promise<MidAnswer> {
  const { inFlight, pids } = task;
  await fillCluster({ ...task, job: "fill" });
  const bench = await openRingshift(task);
  const operation = operationOf(task, bench, "");
  const sockets = new SocketWatch([]);
  let next = 0;
  const lanes = async (running: (now: number) => boolean) => {
    const run = await runLanes(operation, inFlight, running, next);
    next = run.next;
    return run;
  };
  const forSeconds = (seconds: number) => {
    const until = performance.now() + seconds * 1000;
    return lanes((now) => now < until);
  };
  const measured = async (load: () => Promise<LaneRun>) => {
    const meter = new Meter(pids, sockets);
    const run = await load();
    return measureOf(run, meter.stop());
  };
  await forSeconds(task.warmUpSeconds);
  report({ before: await measured(() => forSeconds(task.seconds)) });

  let { phase } = bench.client.topology();
  bench.client.on("topology", (state) => {
    phase = state.phase;
  });
  const inD = () => phase === "D";
  const deadline = performance.now() + TIMEOUT_MS;
  await lanes((now) => !inD() && now < deadline);
  if (!inD()) throw new Error(`no keys began to move within ${TIMEOUT_MS} ms`);
  report({ mid: await measured(() => lanes(inD)) });

  let done = false;
  void told.then(() => {
    done = true;
  });
  const patience = performance.now() + TIMEOUT_MS; // a parent whose copier has failed says nothing
  await lanes((now) => !done && now < patience);
  if (!done) throw new Error(`the copier was not done ${TIMEOUT_MS} ms after the keys had moved`);
  const after = await measured(() => forSeconds(task.seconds));
  await bench.close();
  return { after };
}

function measureOf({ ops, latencies, wrong }: LaneRun, cost: Cost): Measure {
  const figures = cost.figures(ops);
  return {
    opsPerSecond: ops / cost.seconds,
    cpuMicrosPerOp: figures.cpuMicrosPerOp!,
    p50Micros: latencies.percentile(0.5),
    p99Micros: latencies.percentile(0.99),
    p999Micros: latencies.percentile(0.999),
    ...figures,
    bytesOutPerOp: null,
    bytesInPerOp: null,
    packetsPerOp: null,
    wrong,
    measuredSeconds: cost.seconds,
  };
}
