/** A change of the ring, carried through by the copier in this process. */

import { openAdmin } from "../../migration/admin.ts";
import type { Change } from "../../migration/change.ts";
import { Meter, type ServerPids } from "../measure/meter.ts";
import { shareFigures, startProfile } from "../measure/profile.ts";
import { memcachedCommands, redisWork } from "../measure/server-stats.ts";
import { SocketWatch } from "../measure/sockets.ts";
import type { Measure } from "../measure/stats.ts";

export interface CopyTask {
  readonly job: "copy";
  readonly redis: string;
  /** Of all servers, the joining one included. */
  readonly servers: readonly string[];
  readonly pids: ServerPids;
  readonly change: Change;
  /** Keys a second; undefined: as fast as it goes. */
  readonly rate: number | undefined;
  /** Under the profiler, which costs some speed: fields `share of KIND`. */
  readonly profile?: boolean;
}

/** One operation is one moved key. */
export async function copy({ redis, servers, pids, change, rate, profile }: CopyTask): Promise<Measure> {
  const admin = await openAdmin({ redis });
  const before = { commands: await memcachedCommands(servers), redis: await redisWork(redis) };
  const meter = new Meter(pids, new SocketWatch([]));
  const stopProfile = profile ? await startProfile() : undefined;
  const report = await admin.apply(change, { rate });
  const cost = meter.stop();
  const shares = await stopProfile?.();
  const after = { commands: await memcachedCommands(servers), redis: await redisWork(redis) };
  await admin.close();
  const moved = Math.max(1, report.moved);
  const figures = cost.figures(moved);
  return {
    ...figures,
    opsPerSecond: report.keysPerSecond,
    cpuMicrosPerOp: figures.cpuMicrosPerOp!,
    p50Micros: null,
    p99Micros: null,
    bytesOutPerOp: null,
    bytesInPerOp: null,
    packetsPerOp: null,
    moved: report.moved,
    keysSeen: report.keysSeen,
    setsRead: report.setsRead,
    setsTotal: report.setsTotal,
    totalSeconds: report.seconds,
    serverCommandsPerOp: (after.commands - before.commands) / moved,
    redisCallsPerOp: (after.redis.calls - before.redis.calls) / moved,
    redisCommandsPerOp: (after.redis.commands - before.redis.commands) / moved,
    ...shareFigures(shares),
  };
}
