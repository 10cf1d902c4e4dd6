/** The servers of a part of the benchmark, on their cores. */
import { createClient } from "../../client/create.ts";
import { LocalCluster, type MemcachedServer } from "../../testing/index.ts";
import type { ServerPids } from "../measure/meter.ts";
import { type Pinning, pin } from "../measure/pinning.ts";

/** From so many servers on each gets one thread and little memory: the machine has to hold all of them. */
const MANY = 20;
const MEMORY_MB = 1024;

export interface BenchServers {
  readonly servers: readonly string[];
  readonly redis: string;
  readonly pids: ServerPids;
  /** One more server, which is not in the cluster yet. */
  add(): Promise<MemcachedServer>;
  stop(): Promise<void>;
}

export async function startServers(nodes: number, pinning: Pinning): Promise<BenchServers> {
  const many = nodes >= MANY;
  const memcachedOptions = many ? { memoryMb: 8, args: ["-t", "1"] } : { memoryMb: MEMORY_MB };
  const cluster = await LocalCluster.start({ memcached: nodes, memcachedOptions, redis: true });
  for (const server of [...cluster.memcached, cluster.redis]) pin(server.pid, pinning.servers);
  // a cluster begins on empty servers: before a peer stores anything
  await (await createClient({ redis: cluster.redis.url, servers: cluster.servers })).quit();
  return {
    servers: [...cluster.servers],
    redis: cluster.redis.url,
    get pids() {
      return { memcached: cluster.memcached.map(({ pid }) => pid), redis: [cluster.redis.pid] };
    },
    add: async () => {
      const server = await cluster.addMemcached();
      pin(server.pid, pinning.servers);
      return server;
    },
    stop: () => cluster.stop(),
  };
}
