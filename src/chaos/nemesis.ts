/**
 * The nemesis: one fault after the other, by a seeded draw, far more often than in life (rounds: faults.ts). What it does to servers it writes into
 * the timeline: the judge explains losses by nothing else.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../model/random.ts";
import type { Member } from "./crew.ts";
import { FAULTS, type Fault, proxyFaultOf, roundOf } from "./faults.ts";
import type { Fleet, Slot } from "./fleet.ts";
import type { Command, Operators } from "./operators.ts";
import { PROXY_FAULTS, type ProxyFault } from "./proxy.ts";
import type { Timeline } from "./timeline.ts";

export interface NemesisOptions {
  readonly fleet: Fleet;
  readonly crew: readonly Member[];
  readonly operators: readonly Operators[];
  readonly timeline: Timeline;
  readonly random: Random;
  readonly clock: () => number;
  readonly log: (text: string) => void;
  /** Between two faults, ms on average. */
  readonly everyMs: number;
  /** Times of long stops and deaths are scaled by this: a short run has short ones. */
  readonly scale: number;
}

const AGAIN_MS = 150;
/** Clients that are left alone, at least: somebody has to hold the topology. */
const LEAST_CLIENTS = 2;
/** A kill is seen from this long before it was sent. */
const BEFORE_MS = 5;
/** What was on its way through the kernel when a server ended. */
const AFTER_MS = 50;
/** A flush that was not answered may come about after a stop. */
const LATE_FLUSH_MS = 40_000;

export class Nemesis {
  readonly #options: NemesisOptions;
  readonly counts: Record<Fault, number>;
  readonly #busy = new Set<Promise<void>>();
  #heavy = false;
  #redisBusy = false;
  #stopped = false;

  constructor(options: NemesisOptions) {
    this.#options = options;
    this.counts = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
  }

  async run(): Promise<void> {
    const { random, everyMs } = this.#options;
    let bag: Fault[] = [];
    for (let rounds = 0; !this.#stopped; ) {
      if (bag.length === 0) bag = roundOf(rounds++, random);
      const fault = bag.shift()!;
      const work = this.#begin(fault);
      if (work === undefined) {
        bag.push(fault); // its turn comes when what it needs is there
        await sleep(AGAIN_MS);
        continue;
      }
      this.counts[fault]++;
      const done = work().finally(() => this.#busy.delete(done));
      this.#busy.add(done);
      await sleep(everyMs * (0.5 + random.next()));
    }
  }

  /** Resolves when all is back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#busy);
  }

  /** What the fault does; undefined when it cannot be now. */
  #begin(fault: Fault): (() => Promise<void>) | undefined {
    switch (fault) {
      case "clientKilled":
        return this.#onClient((member) => this.#killClient(member));
      case "clientStopped":
        return this.#onClient((member) => this.#stopClient(member, 200, 3_000));
      case "clientStoppedLong":
        return this.#onClient((member) => this.#stopClient(member, 15_000, 90_000));
      case "clientCut":
        return this.#onClient((member) => this.#cutClient(member));
      case "clientDelayed":
        return this.#onClient((member) => this.#cutClient(member, "delay"));
      case "operatorKilled":
      case "operatorStopped":
        return this.#onOperator(fault);
      case "memcachedKilled":
      case "memcachedStopped":
      case "memcachedFlushed":
      case "memcachedFilled":
        return this.#onServer(fault);
      case "memcachedStoppedLong":
      case "memcachedDead":
        return this.#heavyOnServer(fault);
      case "redisStopped":
      case "redisRestartedEmpty":
      case "redisFailedOver":
      case "redisCut":
        return this.#onRedis(fault);
      default:
        return this.#onConnections(fault);
    }
  }

  #onClient(work: (member: Member) => Promise<void>): (() => Promise<void>) | undefined {
    const up = this.#options.crew.filter(({ condition }) => condition === "up");
    if (up.length <= LEAST_CLIENTS) return undefined;
    const member = this.#options.random.pick(up);
    return () => work(member);
  }

  async #killClient(member: Member): Promise<void> {
    this.#note(`client ${member.number} killed`);
    await member.kill();
    await this.#pause(100, 2_000);
    member.start();
  }

  async #stopClient(member: Member, least: number, most: number): Promise<void> {
    const from = this.#options.clock();
    member.signal("SIGSTOP");
    this.#note(`client ${member.number} stopped`);
    await this.#pause(least, most);
    member.signal("SIGCONT");
    this.#note(`client ${member.number} continued after ${((this.#options.clock() - from) / 1000).toFixed(1)} s`);
  }

  /** It alone, for longer than it stays registered: only the fences guard it. Delayed: its pulls are overtaken before they have recorded. */
  async #cutClient({ number }: Member, kind?: ProxyFault): Promise<void> {
    const { fleet, random, scale } = this.#options;
    kind ??= random.pick(["drop", "refuse", "halfOpen"]);
    const ms = Math.round(6_000 + random.next() * 24_000 * scale);
    this.#note(`client ${number} cut off from Redis: ${kind} for ${ms} ms`);
    fleet.redisFault(kind, ms, number);
  }

  #onOperator(fault: "operatorKilled" | "operatorStopped"): (() => Promise<void>) | undefined {
    const running = this.#options.operators.flatMap(({ commands }) => [...commands]).filter(({ stopped }) => !stopped);
    if (running.length === 0) return undefined;
    const command = this.#options.random.pick(running);
    return async () => {
      await this.#pause(0, 700);
      this.#note(
        `operator's "${command.args.slice(0, 2).join(" ")}" ${fault === "operatorKilled" ? "killed" : "stopped"}`,
      );
      if (fault === "operatorKilled") command.child.kill("SIGKILL");
      else await this.#stopOperator(command);
    };
  }

  async #stopOperator(command: Command): Promise<void> {
    command.child.kill("SIGSTOP");
    command.stopped = true;
    command.leave();
    await this.#pause(6_000, 45_000);
    command.child.kill("SIGCONT");
    command.stopped = false;
    this.#note(`operator's "${command.args.slice(0, 2).join(" ")}" continued`);
  }

  #onServer(
    fault: "memcachedKilled" | "memcachedStopped" | "memcachedFlushed" | "memcachedFilled",
  ): (() => Promise<void>) | undefined {
    const { random, fleet } = this.#options;
    const slots = fleet.slots.filter(
      ({ condition, limit }) =>
        condition === "up" && (fault !== "memcachedFilled" || limit === "refuses" || limit === "evicts"),
    );
    if (slots.length === 0) return undefined;
    const slot = random.pick(slots);
    switch (fault) {
      case "memcachedKilled":
        return () => this.#killServer(slot, 50, 4_000);
      case "memcachedStopped":
        return () => this.#stopServer(slot, 100, 2_500);
      case "memcachedFlushed":
        return () => this.#flushServer(slot);
      case "memcachedFilled":
        return async () => {
          this.#note(`${slot.address} (${slot.limit}) filled`);
          await fleet.fill(slot, 8_000_000, random).catch(() => {});
        };
    }
  }

  async #killServer(slot: Slot, least: number, most: number): Promise<void> {
    const { clock, timeline } = this.#options;
    const from = clock() - BEFORE_MS;
    slot.condition = "dead";
    this.#note(`${slot.address} killed`);
    await slot.server.kill();
    timeline.incidents.push({ from, to: clock() + AFTER_MS, cause: "killed", address: slot.address });
    await this.#pause(least, most);
    await slot.server.restart();
    slot.condition = "up";
    this.#note(`${slot.address} is back, empty`);
  }

  async #stopServer(slot: Slot, least: number, most: number): Promise<void> {
    const { clock, timeline } = this.#options;
    const from = clock() - BEFORE_MS;
    slot.condition = "stopped";
    await slot.server.kill("SIGSTOP");
    this.#note(`${slot.address} stopped`);
    await this.#pause(least, most);
    await slot.server.kill("SIGCONT");
    slot.condition = "up";
    timeline.pauses.push({ from, to: clock() });
    this.#note(`${slot.address} continued after ${((clock() - from) / 1000).toFixed(1)} s`);
  }

  async #flushServer(slot: Slot): Promise<void> {
    const { clock, timeline, fleet } = this.#options;
    const from = clock() - BEFORE_MS;
    this.#note(`${slot.address} flushed`);
    const late = await fleet.flush(slot).then(
      () => AFTER_MS,
      () => LATE_FLUSH_MS, // killed or stopped meanwhile: the command may lie in its socket
    );
    timeline.incidents.push({ from, to: clock() + late, cause: "flushed", address: slot.address });
  }

  /** Few of the servers are away for long at a time, or no change of the ring would ever come through. */
  #heavyOnServer(fault: "memcachedStoppedLong" | "memcachedDead"): (() => Promise<void>) | undefined {
    if (this.#heavy) return undefined;
    const used = this.#options.fleet.slots.filter(({ condition }) => condition === "up");
    if (used.length === 0) return undefined;
    const slot = this.#options.random.pick(used);
    return async () => {
      this.#heavy = true;
      if (fault === "memcachedStoppedLong") await this.#stopServer(slot, 5_000, 30_000);
      else {
        slot.abandoned = true;
        await this.#killServer(slot, 20_000, 40_000);
        slot.abandoned = false;
      }
      this.#heavy = false;
    };
  }

  #onRedis(
    fault: "redisStopped" | "redisRestartedEmpty" | "redisFailedOver" | "redisCut",
  ): (() => Promise<void>) | undefined {
    if (this.#redisBusy) return undefined;
    const forgets = fault === "redisRestartedEmpty";
    const knowing = this.#options.crew.filter(({ condition, knows }) => condition === "up" && knows);
    if (forgets && knowing.length < LEAST_CLIENTS) return undefined; // nobody could put the rings back
    return async () => {
      this.#redisBusy = true;
      await this.#hitRedis(fault);
      this.#redisBusy = false;
    };
  }

  async #hitRedis(fault: "redisStopped" | "redisRestartedEmpty" | "redisFailedOver" | "redisCut"): Promise<void> {
    const { fleet, random } = this.#options;
    this.#note(`Redis: ${fault}`);
    switch (fault) {
      case "redisStopped":
        await fleet.redis.kill("SIGSTOP");
        await this.#pause(300, 8_000);
        await fleet.redis.kill("SIGCONT");
        break;
      case "redisRestartedEmpty":
        await fleet.restartRedisEmpty();
        break;
      case "redisFailedOver":
        await fleet.failOver(random.exponential(600), sleep);
        break;
      case "redisCut":
        fleet.redisFault(random.pick(PROXY_FAULTS), 1_500);
        await this.#pause(1_500, 1_500);
    }
    this.#note(`Redis: end of ${fault}`);
  }

  #onConnections(fault: Fault): () => Promise<void> {
    const { fleet, random } = this.#options;
    const kind = proxyFaultOf(fault);
    const slot = random.pick(fleet.slots);
    const ms = Math.round(300 + random.exponential(1_500));
    return async () => {
      this.#note(`connections to ${slot.address}: ${kind} for ${ms} ms`);
      fleet.fault(`m${slot.number}`, kind, ms);
    };
  }

  /** Between the two, scaled; ends at once when the run does. */
  async #pause(least: number, most: number): Promise<void> {
    const { clock, random, scale } = this.#options;
    const until = clock() + (least + random.next() * (most - least)) * scale;
    while (clock() < until && !this.#stopped) await sleep(Math.min(100, until - clock()));
  }

  #note(text: string): void {
    this.#options.timeline.note(this.#options.clock(), text);
    this.#options.log(text);
  }
}
