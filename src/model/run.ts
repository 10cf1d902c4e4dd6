/** One run: its processes, its end, and the verdict on each key. */
import { Caller } from "./caller.ts";
import type { Operation } from "./history.ts";
import { judge, type Verdict } from "./linearize.ts";
import { amnesia, cutOff, lateForTheDead, nemesis } from "./nemesis.ts";
import { Oblivion } from "./oblivion.ts";
import { Operator } from "./operator.ts";
import { virtualTimers } from "./timers.ts";
import { Rival, Upkeep } from "./upkeep.ts";
import type { Rule } from "./without/rules.ts";
import { World } from "./world.ts";

const CALLERS = 3;
const MAX_OPERATORS = 6;
const MAX_EVENTS = 60_000;
/** Virtual ms after which a run is cut short. */
const MAX_TIME = 240_000;
const WATCH_MS = 250;
/** Virtual ms for which operators may go on alone. */
const IDLE_MS = 45_000;

export interface RunOptions {
  readonly seed: number;
  readonly without?: ReadonlySet<Rule>;
  /** Names of the features that may be drawn; all by default. */
  readonly features?: ReadonlySet<string> | undefined;
  /** Name of the run's profile; drawn by default. */
  readonly profile?: string | undefined;
  readonly trace?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly seed: number;
  readonly operations: readonly Operation[];
  readonly answered: number;
  readonly ambiguous: number;
  /** Keys whose history no single Memcached could have had; `ttl` when a move has lengthened a value's life. */
  readonly violations: readonly string[];
  readonly undecided: number;
  /** What is behind a `ttl`. */
  readonly faults: readonly string[];
  readonly events: number;
  readonly profile: string;
  readonly virtualMs: number;
  /** Faults and what became of them. */
  readonly counts: ReadonlyMap<string, number>;
}

export async function runOnce(options: RunOptions): Promise<RunResult> {
  const world = new World(options.seed, options.features, options.without ?? new Set(), options.profile);
  const { scheduler, random, plan } = world;
  const { trace } = options;
  if (trace !== undefined) scheduler.trace = (line) => trace(line());
  const on = Object.entries(world.features).flatMap(([name, is]) => (is ? name : []));
  scheduler.note(() => `${world.profile.name}: ${JSON.stringify(plan)}, with ${on.join(" ")}`);
  const calls = random.int(...world.profile.calls);
  let operators = random.pick([1, 2]);
  for (let i = 0; i < CALLERS; i++) startCaller(world, `c${i}`, calls);
  for (let i = 0; i < operators; i++) startOperator(world, `m${i}`);
  if (world.features.rival) start(new Rival(world, "r"));
  if (world.features.upkeep) start(new Upkeep(world, "u"));
  const strike = nemesis(world, random.pick([0.0005, 0.002, 0.005]));
  scheduler.beforeEvent = strike;
  const oblivion = new Oblivion(world);
  world.onPublication = () => {
    oblivion.published(world.redis.document!);
    cutOff(world);
    amnesia(world);
    lateForTheDead(world);
  };
  let closing = false;
  let called = 0;
  const watch = () => {
    if (closing) return;
    if (world.processes.some((process) => process instanceof Caller && !process.dead && !process.done))
      called = scheduler.now;
    if (isOver(world) || scheduler.now - called > IDLE_MS) {
      closing = true;
      scheduler.beforeEvent = world.onPublication = () => {};
      readAll(world, () => scheduler.stop());
      return;
    }
    for (const process of [...world.processes]) {
      if (!process.dead || process.replaced) continue;
      process.replaced = true;
      if (process instanceof Operator && ++operators <= MAX_OPERATORS) startOperator(world, `m${operators - 1}`);
      if (process instanceof Caller && random.chance(0.7)) startCaller(world, `${process.name}'`, random.int(1, calls));
    }
    scheduler.after(WATCH_MS, undefined, watch);
  };
  scheduler.after(WATCH_MS, undefined, watch);
  const realTimers = virtualTimers(scheduler);
  const stopped = await scheduler
    .run(MAX_EVENTS, MAX_TIME)
    .catch((cause: unknown) => {
      throw new Error(`seed ${options.seed}`, { cause });
    })
    .finally(realTimers);
  if (!stopped) world.count("stalled");
  return verdict(options.seed, world);
}

function isOver(world: World): boolean {
  const changes = world.changesDone >= world.plan.changes.length;
  return world.processes.every((process) => {
    if (process.dead) return true;
    if (process instanceof Operator)
      return process.done || (changes && !(process instanceof Rival || process instanceof Upkeep));
    return process instanceof Caller && process.done;
  });
}

function startCaller(world: World, name: string, calls: number): void {
  const caller = new Caller(world, name);
  caller.start(() => caller.work(calls));
}

function startOperator(world: World, name: string): void {
  start(new Operator(world, name));
}

function start(operator: Operator): void {
  operator.start(() => operator.work());
}

/** A fresh client reads every key. */
function readAll(world: World, then: () => void): void {
  const caller = new Caller(world, "z");
  caller.start(async () => {
    await caller.openClient();
    for (const key of world.plan.keys) await caller.readAtLast(key);
    then();
  });
}

function verdict(seed: number, world: World): RunResult {
  const { history, plan, scheduler, counts } = world;
  const violations = world.faults.length > 0 ? ["ttl"] : [];
  let undecided = 0;
  for (const key of plan.keys) {
    const result: Verdict = judge(history.operations.filter((operation) => operation.key === key));
    if (result === "violation") violations.push(key);
    if (result === "undecided") undecided++;
  }
  for (const fault of world.faults) scheduler.note(() => `TTL grew: ${fault}`);
  const { operations, answered, ambiguous } = history;
  const { events, now } = scheduler;
  const profile = world.profile.name;
  return {
    seed,
    profile,
    faults: world.faults,
    operations,
    answered,
    ambiguous,
    violations,
    undecided,
    events,
    virtualMs: now,
    counts,
  };
}
