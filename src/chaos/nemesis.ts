/**
 * The nemesis: one fault after the other, by a seeded draw, far more often than in life (rounds: faults.ts). What it does to servers it writes into
 * the timeline: the judge explains losses by nothing else.
 *
 *     round ──► fault ──► process-faults: clients, operators ─┐
 *       ▲                 server-faults: memcached            ├─► undefined: not now, back into the round
 *       └─────────────────redis-faults                       ─┘   else: it goes on, and the next one is drawn meanwhile
 */
import { setTimeout as sleep } from "node:timers/promises";
import { FAULTS, type Fault, roundOf } from "./faults.ts";
import { ProcessFaults } from "./process-faults.ts";
import { RedisFaults } from "./redis-faults.ts";
import { ServerFaults } from "./server-faults.ts";
import { type NemesisOptions, Storm } from "./storm.ts";

const AGAIN_MS = 150;

export class Nemesis {
  readonly #storm: Storm;
  readonly #processes: ProcessFaults;
  readonly #servers: ServerFaults;
  readonly #redis: RedisFaults;
  readonly counts: Record<Fault, number>;
  readonly #busy = new Set<Promise<void>>();

  constructor(options: NemesisOptions) {
    this.#storm = new Storm(options);
    this.#processes = new ProcessFaults(this.#storm);
    this.#servers = new ServerFaults(this.#storm);
    this.#redis = new RedisFaults(this.#storm);
    this.counts = Object.fromEntries(FAULTS.map((fault) => [fault, 0])) as Record<Fault, number>;
  }

  async run(): Promise<void> {
    const { random, everyMs } = this.#storm.options;
    let bag: Fault[] = [];
    for (let rounds = 0; !this.#storm.stopped; ) {
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
    this.#storm.stopped = true;
    await Promise.all(this.#busy);
  }

  /** What the fault does; undefined when it cannot be now. */
  #begin(fault: Fault): (() => Promise<void>) | undefined {
    switch (fault) {
      case "clientKilled":
      case "clientStopped":
      case "clientStoppedLong":
      case "clientCut":
      case "clientDelayed":
        return this.#processes.onClient(fault);
      case "operatorKilled":
      case "operatorStopped":
        return this.#processes.onOperator(fault);
      case "memcachedKilled":
      case "memcachedStopped":
      case "memcachedFlushed":
      case "memcachedFilled":
        return this.#servers.onServer(fault);
      case "memcachedStoppedLong":
      case "memcachedDead":
        return this.#servers.heavyOnServer(fault);
      case "redisStopped":
      case "redisRestartedEmpty":
      case "redisFailedOver":
      case "redisCut":
        return this.#redis.onRedis(fault);
      default:
        return this.#servers.onConnections(fault);
    }
  }
}
