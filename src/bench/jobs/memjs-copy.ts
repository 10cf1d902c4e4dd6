/** What one would write without ringshift: for each key that moves, memjs's get, set and delete, with 128 keys under way at once. */
import { createMemjs } from "../clients/clients.ts";
import { Meter, type ServerPids } from "../measure/meter.ts";
import { SocketWatch } from "../measure/sockets.ts";
import type { Measure } from "../measure/stats.ts";
import { runLanes } from "./load.ts";
import { type CopyPlace, fillSources, movingKeys } from "./moving.ts";

export interface MemjsCopyTask extends CopyPlace {
  readonly job: "memjs-copy";
  readonly pids: ServerPids;
}

const IN_FLIGHT = 128;

export async function memjsCopy(task: MemjsCopyTask): Promise<Measure> {
  const { sources, target, pids } = task;
  await fillSources(task);
  const clients = new Map([...sources, target].map((server) => [server, createMemjs(server)]));
  const to = clients.get(target)!;
  const work = [...movingKeys(task)].flatMap(([source, keys]) =>
    keys.map((key) => ({ from: clients.get(source)!, key })),
  );
  let left = work.length;
  const meter = new Meter(pids, new SocketWatch([]));
  const { ops, latencies, wrong } = await runLanes(
    async (i) => {
      const { from, key } = work[i]!;
      const { value } = await from.get(key);
      if (value === null) return false;
      await to.set(key, value, { expires: 0 });
      return from.delete(key);
    },
    IN_FLIGHT,
    () => left-- > 0,
    0,
  );
  const cost = meter.stop();
  for (const client of clients.values()) client.close();
  const figures = cost.figures(ops);
  return {
    ...figures,
    opsPerSecond: ops / cost.seconds,
    cpuMicrosPerOp: figures.cpuMicrosPerOp!,
    p50Micros: latencies.percentile(0.5),
    p99Micros: latencies.percentile(0.99),
    bytesOutPerOp: null,
    bytesInPerOp: null,
    packetsPerOp: null,
    moved: ops,
    wrong,
  };
}
