/**
 * `soak stopped-client`: a client process is stopped (SIGSTOP) in the middle of its traffic, two whole migrations run, every shared key is
 * written anew, and it is continued. It must not be answered a stale value, nor lose a write that was acknowledged to it.
 *
 *   even rounds    add X, remove X: keys come back to the server that the stopped process knows as their owner
 *   odd rounds     add X, remove the oldest: they do not
 *
 * Stale is judged by the machine's monotonic clock: a read is stale when a newer version had been acknowledged before it began, or when a
 * read that ended before it began had shown a newer one.
 */
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { type Admin, openAdmin } from "../migration/admin.ts";
import type { Change } from "../migration/change.ts";
import { LocalCluster } from "../testing/index.ts";
import { Child, machineMs, opened } from "./child.ts";
import type { Soak } from "./soak.ts";
import type { SharedRead, TrafficQuestion, TrafficReport } from "./traffic-child.ts";

const KEYS = 300;
const COUNTERS = 10;
/** Part of one run at most, at random, between the start of a round and the stop. */
const RUN_MS = 300;

/** Versions of shared keys with the machine time at which each was acknowledged, oldest first. */
type Written = { readonly version: number; readonly at: number }[][];

export const stoppedClient: Soak = {
  name: "stopped-client",
  about: "a client stopped through two migrations reads nothing stale and loses no acknowledged write",
  options: { rounds: 100 },
  run: async ({ rounds }, progress) => {
    const cluster = await LocalCluster.start({ memcached: 4 });
    const [spare, ...first] = cluster.servers as [string, ...string[]];
    const client = await opened(() => createClient({ redis: cluster.redis.url, servers: first, retryAmbiguous: true }));
    const admin = await opened(() => openAdmin({ redis: cluster.redis.url }));
    const child = new Child<TrafficQuestion, TrafficReport>("traffic-child.js");
    try {
      const run = new Run(client, admin, child, spare);
      await run.start(cluster.redis.url);
      for (let round = 0; round < rounds!; round++) {
        for (const problem of await run.round(round)) progress(problem);
        progress(`round ${round + 1} of ${rounds}: ${run.summary()}`);
      }
      return await run.finish(rounds!);
    } finally {
      await child.end();
      await admin.close();
      await client.quit();
      await cluster.stop();
    }
  },
};

class Run {
  readonly #client: Client;
  readonly #admin: Admin;
  readonly #child: Child<TrafficQuestion, TrafficReport>;
  readonly #written: Written = Array.from({ length: KEYS }, () => []);
  /** By key the newest version that an answered read has shown. */
  readonly #seen = new Array<number>(KEYS).fill(0);
  readonly #stale: string[] = [];
  readonly #lost: string[] = [];
  #spare: string;
  /** Increments of every counter by this process, and those of each whose effect is unknown. */
  readonly #counted = new Array<number>(COUNTERS).fill(0);
  readonly #perhaps = new Array<number>(COUNTERS).fill(0);
  #version = 0;
  #reads = 0;
  #moved = 0;
  #strays = 0;
  #stoppedMs = 0;
  #latest: TrafficReport | undefined;

  constructor(client: Client, admin: Admin, child: Child<TrafficQuestion, TrafficReport>, spare: string) {
    this.#client = client;
    this.#admin = admin;
    this.#child = child;
    this.#spare = spare;
  }

  async start(redis: string): Promise<void> {
    await this.#write();
    for (let i = 0; i < COUNTERS; i++) await this.#client.set(`c:${i}`, 0);
    await this.#child.ask({ type: "run", redis, keys: KEYS, counters: COUNTERS });
  }

  /** Answers what was wrong in it. */
  async round(round: number): Promise<string[]> {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * RUN_MS));
    this.#child.signal("SIGSTOP");
    const stopped = machineMs();
    await this.#migrate({ kind: "add-node", nodes: [{ address: this.#spare }] });
    await this.#write();
    const oldest = (await this.#admin.topology()).nodes.reduce((a, b) => (a.index < b.index ? a : b));
    const leaving = round % 2 === 0 ? this.#spare : oldest.name;
    await this.#migrate({ kind: "remove-node", names: [leaving] });
    await this.#write();
    this.#stoppedMs += machineMs() - stopped;
    this.#spare = leaving;
    this.#child.signal("SIGCONT");
    const [stale, lost] = [this.#stale.length, this.#lost.length];
    this.#judge(await this.#child.ask({ type: "report" }), round);
    return [...this.#stale.slice(stale), ...this.#lost.slice(lost)];
  }

  summary(): string {
    const { operations = 0, ambiguous = 0, refused = 0 } = this.#latest ?? {};
    return `${operations} operations, ${ambiguous} ambiguous, ${refused} refused, ${this.#stale.length} stale, ${this.#lost.length} lost`;
  }

  async finish(rounds: number) {
    const report = await this.#child.ask({ type: "stop" });
    this.#judge(report, rounds);
    for (let key = 0; key < KEYS; key++) {
      const value = (await this.#client.get<number>(`o:${key}`)) ?? 0;
      const allowed = report.own[key]!;
      if (!allowed.includes(value)) this.#lost.push(`o:${key} is ${value} at the end, had to be ${allowed[0]}`);
    }
    for (let i = 0; i < COUNTERS; i++) {
      const value = await this.#client.get<number>(`c:${i}`);
      const least = report.counted[i]! + this.#counted[i]!;
      if (value === undefined || value < least || value > least + report.perhaps[i]! + this.#perhaps[i]!) {
        this.#lost.push(`c:${i} is ${value} at the end, ${least} increments were acknowledged`);
      }
    }
    const { clean } = await this.#admin.verify({ full: true });
    return {
      kept: this.#stale.length + this.#lost.length === 0 && clean,
      problems: [...this.#stale, ...this.#lost, ...(clean ? [] : ["verify --full is not clean"])],
      figures: {
        rounds,
        operations: report.operations,
        readsJudged: this.#reads,
        keysMoved: this.#moved,
        stoppedSecondsARound: Math.round(this.#stoppedMs / rounds / 100) / 10,
        ambiguousWrites: report.ambiguous,
        refused: report.refused,
        staleReads: this.#stale.length,
        lostWrites: this.#lost.length,
        emptiedServersWithStrays: this.#strays,
        verifyClean: clean,
      },
    };
  }

  /** A write that was under way at the stop may have come to a server after it was emptied: that is told, and flushed. */
  async #migrate(change: Change): Promise<void> {
    try {
      this.#moved += (await this.#admin.apply(change)).moved;
    } catch (error) {
      if (!isRingshiftError(error, "NODE_NOT_EMPTY")) throw error;
      this.#strays++;
      this.#moved += (await this.#admin.apply(change, { flush: true })).moved;
    }
  }

  /** The next version of every shared key, and one more on every counter; an ambiguous write of a key is repeated. */
  async #write(): Promise<void> {
    const version = ++this.#version;
    const write = async (key: number): Promise<void> => {
      await this.#client.set(`s:${key}`, version);
      this.#written[key]!.push({ version, at: machineMs() });
    };
    await Promise.all(Array.from({ length: KEYS }, (_, key) => write(key)));
    if (version === 1) return;
    for (let i = 0; i < COUNTERS; i++) await this.#count(i);
  }

  async #count(counter: number): Promise<void> {
    try {
      await this.#client.incr(`c:${counter}`);
      this.#counted[counter]!++;
    } catch (error) {
      if (!isRingshiftError(error, "AMBIGUOUS_WRITE")) throw error;
      this.#perhaps[counter]!++;
    }
  }

  #judge(report: TrafficReport, round: number): void {
    this.#latest = report;
    this.#lost.push(...report.wrong.map((what) => `round ${round + 1}: ${what}`));
    this.#reads += report.reads.length;
    // a read is held against those that ended before it began
    const began = [...report.reads].sort((a, b) => a[1] - b[1]);
    const ended = [...report.reads].sort((a, b) => a[2] - b[2]);
    let next = 0;
    for (const [key, at, , version] of began) {
      for (; next < ended.length && ended[next]![2] < at; next++) this.#see(ended[next]!);
      const least = Math.max(this.#acknowledged(key, at), this.#seen[key]!);
      if (version < least) this.#stale.push(`round ${round + 1}: s:${key} read ${version}, ${least} was there`);
    }
    for (; next < ended.length; next++) this.#see(ended[next]!);
  }

  #see([key, , , version]: SharedRead): void {
    this.#seen[key] = Math.max(this.#seen[key]!, version);
  }

  /** The newest version that had been acknowledged before then. */
  #acknowledged(key: number, before: number): number {
    let least = 0;
    for (const { version, at } of this.#written[key]!) if (at < before) least = Math.max(least, version);
    return least;
  }
}
