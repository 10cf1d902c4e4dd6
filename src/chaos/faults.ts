/** The kinds of faults, and the rounds that they come in. */
import type { Random } from "../model/random.ts";
import type { ProxyFault } from "./proxy.ts";

export const FAULTS = [
  "clientKilled",
  "clientStopped",
  "clientStoppedLong",
  "clientCut",
  "clientDelayed",
  "operatorKilled",
  "operatorStopped",
  "memcachedKilled",
  "memcachedStopped",
  "memcachedStoppedLong",
  "memcachedDead",
  "memcachedFlushed",
  "memcachedFilled",
  "redisStopped",
  "redisRestartedEmpty",
  "redisFailedOver",
  "redisCut",
  "connectionsDrop",
  "connectionsRefuse",
  "connectionsDelay",
  "connectionsHalfOpen",
  "connectionsReset",
] as const;
export type Fault = (typeof FAULTS)[number];

/** These take turns: with all of them in every round no change of a ring would come through between two. */
const TURNS: readonly (readonly Fault[])[] = [
  ["redisRestartedEmpty", "redisFailedOver"],
  ["memcachedStoppedLong", "memcachedDead"],
];
/** What the proxy calls it. */
export function proxyFaultOf(fault: Fault): ProxyFault {
  const name = fault.slice("connections".length);
  return `${name[0]!.toLowerCase()}${name.slice(1)}` as ProxyFault;
}

/** The kinds of one round, in random order. */
export function roundOf(round: number, random: Random): Fault[] {
  const kinds = FAULTS.filter((fault) => {
    const turn = TURNS.find((kinds) => kinds.includes(fault));
    return turn === undefined || turn[round % turn.length] === fault;
  });
  return shuffled(kinds, random);
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const left = [...list];
  return list.map(() => left.splice(random.int(0, left.length - 1), 1)[0]!);
}
