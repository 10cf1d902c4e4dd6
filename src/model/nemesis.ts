/** Faults, drawn before each event: what may befall servers, Redis, wires and processes. */

import type { Feature } from "./features.ts";
import { Operator } from "./operator.ts";
import type { SimProcess } from "./process.ts";
import type { World } from "./world.ts";

type Strike = (world: World) => void;

const MAX_FAIL_OVERS = 2;
const MAX_CRASHES = 3;

const STRIKES: Partial<Record<Feature, { readonly weight: number; readonly strike: Strike }>> = {
  evict: { weight: 4, strike: evict },
  fence: { weight: 3, strike: loseFence },
  restart: { weight: 1.5, strike: restart },
  stall: { weight: 1, strike: stall },
  failover: { weight: 1, strike: failOver },
  unreach: { weight: 2, strike: cutFromRedis },
  crash: { weight: 1.5, strike: crash },
  pause: { weight: 4, strike: pause },
  cut: { weight: 3, strike: cut },
  abort: { weight: 1, strike: takeBack },
};

/** Draws whether something befalls the run now. */
export function nemesis(world: World, rate: number): () => void {
  const { random, features } = world;
  const list = Object.entries(STRIKES).filter(([name]) => features[name as Feature]);
  if (list.length === 0) return () => {};
  const weights = Object.fromEntries(list.map(([name, { weight }]) => [name, weight]));
  return () => {
    if (!random.chance(rate)) return;
    const name = random.weighted(weights);
    world.count(name);
    STRIKES[name as Feature]!.strike(world);
  };
}

function anyServer({ random, servers }: World) {
  return random.pick([...servers.values()]);
}

function evict(world: World): void {
  const server = anyServer(world);
  const keys = [...server.items.keys()].filter((key) => !key.startsWith("ringshift:"));
  if (keys.length === 0) return;
  const key = world.random.pick(keys);
  world.scheduler.note(() => `FAULT ${server.name} evicts ${key}`);
  server.drop(key);
}

function loseFence(world: World): void {
  const server = anyServer(world);
  const all = world.random.chance(0.3);
  world.scheduler.note(() => `FAULT ${server.name} ${all ? "is flushed" : "evicts its fence"}`);
  if (all) server.flush();
  else server.drop(world.namespace.fenceKey);
}

function restart(world: World): void {
  const { random, scheduler, processes } = world;
  const server = anyServer(world);
  const down = random.chance(0.3) ? random.pick([100, 1_000, 3_000]) * random.next() : 0;
  scheduler.note(() => `FAULT ${server.name} restarts, down ${down.toFixed(0)} ms`);
  server.restart();
  server.downUntil = scheduler.now + down;
  for (const process of processes) if (!process.dead) process.transport.serverLeft(server);
}

function stall(world: World): void {
  const { random, scheduler } = world;
  const server = anyServer(world);
  const ms = random.pick([20, 300, 3_000]) * random.next();
  scheduler.note(() => `FAULT ${server.name} stops for ${ms.toFixed(0)} ms`);
  server.stalledUntil = Math.max(server.stalledUntil, scheduler.now + ms);
}

function failOver(world: World): void {
  const { random, redis, scheduler, processes } = world;
  if ((world.counts.get("failover") ?? 0) > MAX_FAIL_OVERS) return;
  const forget = random.chance(0.6) ? { publications: random.pick([1, 1, 2]) } : { writes: random.int(0, 8) };
  redis.failOver(forget);
  const { document } = redis;
  scheduler.note(
    () => `FAULT Redis fails over, forgets ${JSON.stringify(forget)}, back to e${document?.epoch} ${document?.phase}`,
  );
  for (const process of processes) {
    if (process.dead) continue;
    process.store.failedOver();
    scheduler.after(random.exponential(50), process, () => process.announced());
  }
}

function cutFromRedis(world: World): void {
  const { random, scheduler } = world;
  const process = anyProcess(world);
  if (process === undefined) return;
  const ms = random.pick([30, 300, 3_000, 20_000]) * random.next();
  scheduler.note(() => `FAULT ${process.name} cannot reach Redis for ${ms.toFixed(0)} ms`);
  process.store.cutUntil = scheduler.now + ms;
  scheduler.at(process.store.cutUntil, process, () => process.announced());
}

function crash(world: World): void {
  const process = anyProcess(world);
  if (process === undefined || (world.counts.get("crash") ?? 0) > MAX_CRASHES) return;
  world.scheduler.note(() => `FAULT ${process.name} crashes`);
  process.crash();
}

function pause(world: World): void {
  const { random, scheduler } = world;
  const process = anyProcess(world);
  if (process === undefined) return;
  const ms = random.pick([10, 100, 100, 1_000, 8_000, 60_000]) * random.next();
  scheduler.note(() => `FAULT ${process.name} stops for ${ms.toFixed(0)} ms`);
  process.pausedUntil = Math.max(process.pausedUntil, scheduler.now + ms);
}

function cut(world: World): void {
  const { random, scheduler } = world;
  const process = anyProcess(world);
  const address = process && random.pick(process.transport.addresses);
  if (process === undefined || address === undefined) return;
  scheduler.after(0, process, () => process.transport.cut(address));
}

function takeBack(world: World): void {
  if (world.redis.document?.phase !== "F") return;
  const operators = world.processes.filter((process) => process instanceof Operator && !process.dead && process.opened);
  if (operators.length === 0) return;
  const operator = world.random.pick(operators) as Operator;
  world.scheduler.note(() => `FAULT ${operator.name} takes F back`);
  operator.start(() => operator.takeBack());
}

function anyProcess({ processes, random }: World): SimProcess | undefined {
  const alive = processes.filter((process) => !process.dead);
  return alive.length === 0 ? undefined : random.pick(alive);
}
