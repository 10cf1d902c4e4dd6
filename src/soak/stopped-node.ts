/**
 * `soak stopped-node`: a memcached is stopped (SIGSTOP) under the traffic of one client. Every call has to settle within its timeout and 50 ms,
 * and the workers on the other servers' keys have to keep nine tenths of their throughput.
 *
 *   warm up ─► ( measure ─► SIGSTOP ─► measure, from the very stop ─► SIGCONT ─► until its keys are answered again ) × rounds
 *
 * What is compared stands side by side in each round, and the median of the rounds counts: a machine that others use too is not the same
 * for long.
 * Workers are bound to one server's keys each and call without a pause, those on the stopped server too: that is the worst they can do.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { LocalCluster, type MemcachedServer } from "../testing/index.ts";
import { type Outcome, percentiles, type Soak } from "./soak.ts";

const KEYS_PER_SERVER = 200;
/** One call in so many is a set. */
const SET_EVERY = 10;
const GRACE_MS = 50;
const WARM_UP_MS = 2_000;
const KEPT_SHARE = 0.9;
/** Until a server that goes on is answered: the longest back-off of its link, and as much again. */
const BACK_MS = 5_000;
const VALUE = "x".repeat(200);

export const stoppedNode: Soak = {
  name: "stopped-node",
  about:
    "with a server stopped every call settles within its timeout + 50 ms, and the others' keys keep 90 % of their throughput",
  options: { rounds: 7, seconds: 3, workers: 8, timeout: 1_000, servers: 3 },
  run: async ({ rounds, seconds, workers, timeout, servers }, progress) => {
    const cluster = await LocalCluster.start({ memcached: servers! });
    const client = await createClient({
      redis: cluster.redis.url,
      servers: cluster.servers,
      timeoutMs: timeout!,
    });
    try {
      const run = new Run(client, cluster, timeout!);
      return await run.all(rounds!, seconds! * 1000, workers!, progress);
    } finally {
      for (const server of cluster.memcached) await server.kill("SIGCONT");
      await client.quit();
      await cluster.stop();
    }
  },
};

/** Calls of one phase: of workers on servers that answer, and of those on the one that is stopped. */
interface Tally {
  answered: number;
  failed: number;
  /** Of calls that took longer than the timeout and its grace, in ms. */
  readonly late: number[];
  readonly failedMs: number[];
  slowestMs: number;
}

const newTally = (): Tally => ({ answered: 0, failed: 0, late: [], failedMs: [], slowestMs: 0 });

class Run {
  readonly #client: Client;
  readonly #cluster: LocalCluster;
  readonly #timeoutMs: number;
  #others = newTally();
  #victims = newTally();
  #ended = false;
  readonly #codes = new Map<string, number>();

  constructor(client: Client, cluster: LocalCluster, timeoutMs: number) {
    this.#client = client;
    this.#cluster = cluster;
    this.#timeoutMs = timeoutMs;
  }

  async all(rounds: number, phaseMs: number, workers: number, progress: (text: string) => void): Promise<Outcome> {
    const [victim, ...others] = this.#cluster.memcached as [MemcachedServer, ...MemcachedServer[]];
    const running = [
      ...others.flatMap(({ address }) => this.#start(workers, address, () => this.#others)),
      ...this.#start(workers, victim.address, () => this.#victims),
    ];
    await sleep(WARM_UP_MS);
    const done: Round[] = [];
    for (let round = 1; round <= rounds; round++) {
      const before = await this.#phase(phaseMs);
      await victim.kill("SIGSTOP");
      const stopped = await this.#phase(phaseMs);
      await victim.kill("SIGCONT");
      const back = await this.#untilBack();
      done.push({ before, stopped, back });
      const rates = `${Math.round(before.rate)} calls/s before, ${Math.round(stopped.rate)} stopped`;
      progress(
        `round ${round} of ${rounds}: ${rates}, ${stopped.victims.failed} failed, CPU a call ${before.cpuShare} and ${stopped.cpuShare}`,
      );
    }
    this.#ended = true;
    await Promise.all(running);
    return this.#judge(done);
  }

  /** The stopped server's keys are answered again. */
  async #untilBack(): Promise<Phase> {
    const giveUp = performance.now() + BACK_MS;
    const phase = this.#phase(0);
    const { victims } = await phase;
    while (victims.answered === 0 && performance.now() < giveUp) await sleep(10);
    return phase;
  }

  #judge(rounds: readonly Round[]): Outcome {
    const phases = rounds.flatMap(({ before, stopped, back }) => [before, stopped, back]);
    const late = phases.flatMap(({ others, victims }) => [...others.late, ...victims.late]);
    const failedElsewhere = phases.reduce((sum, { others }) => sum + others.failed, 0);
    const shares = rounds.map(({ before, stopped }) => stopped.rate / before.rate).sort((a, b) => a - b);
    const share = shares[shares.length >> 1]!;
    const away = rounds.filter(({ back }) => back.victims.answered === 0).length;
    const problems = [
      ...late.map((ms) => `a call took ${Math.round(ms)} ms, ${this.#timeoutMs + GRACE_MS} are allowed`),
      ...(share < KEPT_SHARE ? [`the other servers' keys kept ${percent(share)} of their throughput`] : []),
      ...(failedElsewhere > 0 ? [`${failedElsewhere} calls on servers that were there failed`] : []),
      ...(away > 0 ? [`${away} times the stopped server's keys were not answered within ${BACK_MS} ms`] : []),
    ];
    const failing = percentiles(rounds.flatMap(({ stopped }) => stopped.victims.failedMs));
    const rate = (of: "before" | "stopped") => Math.round(median(rounds.map((round) => round[of].rate)));
    return {
      kept: problems.length === 0,
      problems,
      figures: {
        rounds: rounds.length,
        timeoutMs: this.#timeoutMs,
        othersCallsPerSecondBefore: rate("before"),
        othersCallsPerSecondStopped: rate("stopped"),
        keptThroughput: percent(share),
        keptThroughputLowest: percent(shares[0]!),
        failedCalls: rounds.reduce((sum, { stopped }) => sum + stopped.victims.failed, 0),
        failingCallMsP50: failing.p50,
        failingCallMsP99: failing.p99,
        slowestCallMs: Math.round(
          Math.max(...phases.map(({ others, victims }) => Math.max(others.slowestMs, victims.slowestMs))),
        ),
        codes: [...this.#codes].map(([code, count]) => `${code} ${count}`).join(", "),
      },
    };
  }

  /** What happens from now on for so long, and after that until the next phase. */
  async #phase(ms: number): Promise<Phase> {
    const others = newTally();
    const victims = newTally();
    this.#others = others;
    this.#victims = victims;
    const begun = performance.now();
    const cpu = process.cpuUsage();
    await sleep(ms);
    const seconds = (performance.now() - begun) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const cpuShare = `${((user + system) / Math.max(1, others.answered + victims.answered)).toFixed(1)} µs`;
    return { rate: others.answered / seconds, others, victims, cpuShare };
  }

  #start(workers: number, address: string, tally: () => Tally): Promise<void>[] {
    const keys: string[] = [];
    for (let i = 0; keys.length < KEYS_PER_SERVER; i++) {
      if (this.#client.locate(`key:${i}`).address === address) keys.push(`key:${i}`);
    }
    return Array.from({ length: workers }, (_, i) => this.#work(keys, i, tally));
  }

  async #work(keys: readonly string[], first: number, tally: () => Tally): Promise<void> {
    for (let i = first; !this.#ended; i++) {
      const key = keys[i % keys.length]!;
      const begun = performance.now();
      const end = () => {
        const ms = performance.now() - begun;
        const into = tally();
        into.slowestMs = Math.max(into.slowestMs, ms);
        if (ms > this.#timeoutMs + GRACE_MS) into.late.push(ms);
        return [into, ms] as const;
      };
      try {
        await (i % SET_EVERY === 0 ? this.#client.set(key, VALUE) : this.#client.get(key));
        end()[0].answered++;
      } catch (error) {
        if (!isRingshiftError(error)) throw error;
        const [into, ms] = end();
        into.failed++;
        into.failedMs.push(ms);
        this.#codes.set(error.code, (this.#codes.get(error.code) ?? 0) + 1);
      }
    }
  }
}

interface Phase {
  /** Answered calls a second of the workers on the other servers' keys. */
  readonly rate: number;
  /** CPU time of this process for an answered call, those that failed counted in. */
  readonly cpuShare: string;
  readonly others: Tally;
  readonly victims: Tally;
}

interface Round {
  readonly before: Phase;
  readonly stopped: Phase;
  readonly back: Phase;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
