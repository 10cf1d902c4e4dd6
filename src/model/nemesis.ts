/** Faults, drawn before each event: what may befall servers, Redis, wires and processes. */

import { Caller } from "./caller.ts";
import type { Feature } from "./features.ts";
import { Operator } from "./operator.ts";
import type { SimProcess } from "./process.ts";
import type { SimServer } from "./server.ts";
import type { World } from "./world.ts";

interface Fault {
  readonly weight: number;
  readonly strike: (world: World) => void;
}

const MAX_FAIL_OVERS = 2;
/** Once a run: one after another they might be longer than a registration. */
const LATE = "late for the dead";
const MAX_LATE_MS = 3_000;

export const STRIKES: Partial<Record<Feature, Fault>> = {
  evict: { weight: 4, strike: evict },
  fence: { weight: 3, strike: loseFence },
  restart: { weight: 1.5, strike: restart },
  stall: { weight: 1, strike: stall },
  failover: { weight: 1, strike: failOver },
  unreach: { weight: 2, strike: (world) => onAny(world, (process) => world.cutFromRedis(process)) },
  crash: { weight: 1.5, strike: (world) => onAny(world, (process) => world.crash(process)) },
  pause: { weight: 4, strike: (world) => onAny(world, (process) => world.pause(process)) },
  cut: { weight: 3, strike: cut },
  abort: { weight: 1, strike: takeBack },
  dead: { weight: 1, strike: die },
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

/** At a publication: a client loses Redis for longer than its registration lasts. */
export function cutOff(world: World): void {
  const { random, features, profile, processes } = world;
  if (!features.unreach || !random.chance(profile.cutOff)) return;
  const callers = processes.filter((process) => process instanceof Caller && !process.dead);
  if (callers.length === 0) return;
  world.count("cut off");
  world.cutFromRedis(random.pick(callers), 5_000 + random.next() * 60_000);
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
  if (world.random.chance(0.3)) {
    world.scheduler.note(() => `FAULT ${server.name} is flushed`);
    server.flush();
  } else {
    evictFence(world, server);
  }
}

export function evictFence({ scheduler, namespace }: World, server: SimServer): void {
  scheduler.note(() => `FAULT ${server.name} evicts its fence`);
  server.drop(namespace.fenceKey);
}

function restart(world: World): void {
  const { random } = world;
  world.restart(anyServer(world), random.chance(0.3) ? random.pick([100, 1_000, 3_000]) * random.next() : 0);
}

function stall(world: World): void {
  const { random, scheduler } = world;
  const server = anyServer(world);
  const ms = random.pick([20, 300, 3_000]) * random.next();
  scheduler.note(() => `FAULT ${server.name} stops for ${ms.toFixed(0)} ms`);
  server.stalledUntil = Math.max(server.stalledUntil, scheduler.now + ms);
}

/** One server goes for good, or for everybody but one client. */
function die(world: World): void {
  const server = anyServer(world);
  if (world.random.chance(0.3)) partition(world, server);
  else if (mayGo(world)) {
    world.gone = server.name;
    world.restart(server, Number.POSITIVE_INFINITY);
  }
}

function mayGo({ gone, redis }: World): boolean {
  return gone === undefined && (redis.document?.nodes.length ?? 0) >= 3;
}

/** Nobody but one client, this process if it is one, reaches the server any more, so the others give it up; what it holds may be missed from now on. */
export function partition(world: World, server: SimServer, preferred?: SimProcess): void {
  const callers = world.processes.filter(
    (process) => process instanceof Caller && !process.dead && process.store.cutUntil <= world.scheduler.now,
  );
  if (!mayGo(world) || callers.length === 0) return;
  const process = callers.find((caller) => caller === preferred) ?? world.random.pick(callers);
  world.scheduler.note(() => `FAULT ${process.name} alone reaches ${server.name}`);
  world.count("partition");
  world.gone = server.name;
  server.reachedBy = process;
  for (const other of world.processes) if (other !== process && !other.dead) other.cut(server.name);
  for (const [key, item] of server.items) world.lost(server.name, key, item);
}

/** At a publication that declares that server dead: the client that reaches it is slow to hear of it, for less time than its registration lasts. */
export function lateForTheDead(world: World): void {
  const { redis, gone, features, random, processes, scheduler, counts } = world;
  if (gone === undefined || !features.pause || !redis.document?.dead?.includes(gone)) return;
  const process = world.server(gone).reachedBy;
  const late = processes.find((other) => other === process);
  if (late === undefined || random.chance(0.1)) return;
  if (counts.has(LATE) || random.chance(0.4)) {
    world.pause(late);
    return;
  }
  if (late.pausedUntil > scheduler.now) return; // it may have been stopped for long, and would be without Redis when it goes on
  world.count(LATE);
  const ms = random.next() * MAX_LATE_MS;
  scheduler.note(() => `FAULT ${late.name} does not hear of it for ${ms.toFixed(0)} ms`);
  late.store.cutUntil = scheduler.now + ms;
  scheduler.at(late.store.cutUntil, late, () => late.announced());
}

/** Redis forgets its last writes under a new run id, or everything under the same one (FLUSHALL). */
function failOver(world: World): void {
  const { random, redis } = world;
  if (!mayFailOver(world)) return;
  const forget = random.chance(0.6) ? { publications: random.pick([1, 1, 2]) } : { writes: random.int(0, 8) };
  const flush = random.chance(0.15);
  if (flush) redis.flushAll();
  else redis.failOver(forget);
  failedOver(world, flush ? "is flushed" : `fails over, forgets ${JSON.stringify(forget)}`, flush);
}

export function mayFailOver({ failOvers }: World): boolean {
  return failOvers <= MAX_FAIL_OVERS;
}

export function failedOver(world: World, what: string, flush = false): void {
  const { scheduler, redis, random, processes } = world;
  const { document } = redis;
  world.failOvers++;
  scheduler.note(() => `FAULT Redis ${what}, back to e${document?.epoch} ${document?.phase}`);
  for (const process of processes) {
    if (process.dead) continue;
    if (!flush) process.store.failedOver();
    scheduler.after(random.exponential(50), process, () => process.announced());
  }
}

/**
 * At a publication: one client hears of it and loses Redis then for longer than its registration lasts; nobody else does before Redis
 * forgets it, and maybe those before it too. Its coordinator seldom lives to put it back. Fences, which would show it,
 * may get lost, and operators may take back the F that Redis still knows.
 */
export function amnesia(world: World): void {
  const { random, features, profile, processes, scheduler, redis } = world;
  if (profile.amnesia === 0 || !features.failover || !features.unreach) return;
  const { document } = redis;
  if (features.abort && document?.phase === "F" && document.recovered && random.chance(0.5)) {
    scheduler.after(random.exponential(20), undefined, () => takeBack(world));
  }
  if (!mayFailOver(world) || !random.chance(profile.amnesia)) return;
  const alive = processes.filter((process) => !process.dead && process.opened);
  const callers = alive.filter((process) => process instanceof Caller && !process.done);
  if (callers.length < 2) return;
  world.count("amnesia");
  const keeper = random.pick(callers);
  const knownMs = 2 * world.weather.mean + random.exponential(random.pick([5, 50, 500]));
  for (const process of alive) {
    if (process === keeper) continue;
    const lasting = process instanceof Operator && random.chance(0.8);
    if (lasting && random.chance(0.3)) world.crash(process);
    else world.cutFromRedis(process, lasting ? 5_000 + random.next() * 60_000 : knownMs + random.exponential(5));
  }
  scheduler.after(knownMs, undefined, () => {
    const publications = random.pick([1, 1, 2, 2, 3]);
    redis.failOver({ publications });
    failedOver(world, `fails over, forgets ${publications} publications that ${keeper.name} knows`);
    if (!keeper.dead) world.cutFromRedis(keeper, 5_000 + random.next() * 60_000);
    if (!features.fence || random.chance(0.5)) return;
    const share = random.pick([0.4, 0.8]);
    for (const server of world.servers.values()) {
      if (random.chance(share)) {
        scheduler.after(random.exponential(random.pick([10, 1_000])), undefined, () => evictFence(world, server));
      }
    }
  });
}

function cut(world: World): void {
  onAny(world, (process) => {
    const { addresses } = process.transport;
    if (addresses.length > 0) process.cut(world.random.pick(addresses).split(":")[0]!);
  });
}

function takeBack(world: World): void {
  if (world.redis.document?.phase !== "F") return;
  const operators = world.processes.filter((process) => process instanceof Operator && !process.dead && process.opened);
  if (operators.length === 0) return;
  const operator = world.random.pick(operators) as Operator;
  world.scheduler.note(() => `FAULT ${operator.name} takes F back`);
  operator.start(() => operator.takeBack());
}

function onAny({ processes, random }: World, strike: (process: SimProcess) => void): void {
  const alive = processes.filter((process) => !process.dead);
  if (alive.length > 0) strike(random.pick(alive));
}
