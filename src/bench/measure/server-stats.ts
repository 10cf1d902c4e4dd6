/** What the servers say of their own work: commands that memcached ran, calls and memory of Redis. */
import { connect } from "node:net";
import { stats } from "../../memcached/admin.ts";

/** Counters of `stats` that add up to the commands on keys; a read by `mg` counts as a get, `ms` and `cas` as sets. */
const COMMANDS = ["cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses", "incr_hits", "incr_misses"];

/** Commands on keys that these servers have run since their start. */
export async function memcachedCommands(servers: readonly string[]): Promise<number> {
  const all = await Promise.all(servers.map((server) => stats(server)));
  return all.reduce((sum, one) => sum + COMMANDS.reduce((own, name) => own + Number(one.get(name) ?? 0), 0), 0);
}

export interface RedisWork {
  /** What clients asked: a script is one call. */
  readonly calls: number;
  /** What Redis executed: a script's own commands count too. */
  readonly commands: number;
  readonly usedBytes: number;
}

/** The commands that only scripts and ourselves here send are no calls of a client. */
const NO_CALLS = /^(info|hello|client|config|ping|select|hget|sadd|srem|zadd|zrem|zremrangebyscore|hdel|publish)\b/;

export async function redisWork(url: string): Promise<RedisWork> {
  const [commands, memory] = [await redisInfo(url, "commandstats"), await redisInfo(url, "memory")];
  return { ...parseCommandStats(commands), usedBytes: Number(/^used_memory:(\d+)/m.exec(memory)?.[1] ?? 0) };
}

/** By a bare socket: what loads no package weighs on no client's memory. */
function redisInfo(url: string, section: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(port), hostname, () => socket.write(`INFO ${section}\r\nQUIT\r\n`));
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(text));
  });
}

/** Lines `cmdstat_sadd:calls=12,usec=...`. */
export function parseCommandStats(text: string): { calls: number; commands: number } {
  let [calls, commands] = [0, 0];
  for (const [, name, count] of text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
    if (/^(info|hello|client)/.test(name!)) continue;
    commands += Number(count);
    if (!NO_CALLS.test(name!)) calls += Number(count);
  }
  return { calls, commands };
}
