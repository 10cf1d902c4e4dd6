/**
 * The demo: a cluster of real servers grows and shrinks under the traffic of three client processes, and every answer is checked.
 *
 *   this process                       client process × 3
 *   servers, Redis, cluster
 *   fork ────────────────────────────► load own keys
 *   run ─────────────────────────────► read, write, delete, count; check; tell the others what was acknowledged
 *   add memcached-4, then remove it
 *   stop ────────────────────────────► what each one knows of its keys
 *   final check by a fresh client; the same keys without migration; table or JSON
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../client/create.ts";
import { RingshiftError } from "../errors.ts";
import { stats } from "../memcached/admin.ts";
import { LinkPool } from "../memcached/pool.ts";
import { openAdmin } from "../migration/admin.ts";
import { ensureBinaries, LocalCluster } from "../testing/index.ts";
import { type AuditFigures, audit } from "./audit.ts";
import { type ChangeContext, type ChangeFigures, changeUnderTraffic } from "./change.ts";
import { Crew } from "./crew.ts";
import { ketama, lossOf, modulo } from "./loss.ts";
import type { Assignment, Books } from "./messages.ts";
import { ProgressLine } from "./progress.ts";
import { type DemoReport, formatTable, isFlawless } from "./report.ts";
import { Resources } from "./resources.ts";
import { counterOf, keyOf, MAX_KEYS } from "./values.ts";

export interface DemoOptions {
  /** Keys to load, 100 to 1,000,000. */
  readonly keys: number;
  /** Print one JSON document instead of the table. */
  readonly json: boolean;
  /** Ends the demo when it is aborted. Default: Ctrl-C (SIGINT) does. */
  readonly signal?: AbortSignal | undefined;
}

const MIN_KEYS = 100;
const PROCESSES = 3;
const COUNTERS = 48;
/** Operations a second of each client process: busy, yet servers, copier and clients share a small machine. */
const RATE = 3_000;
/** Memory of a server in MiB: thrice what its part of the keys needs, so that nothing is evicted. */
const MEMORY_MB = 128;
const MEMORY_MB_PER_1000_KEYS = 1;
const NAMES = ["memcached-1", "memcached-2", "memcached-3"];
const JOINING = "memcached-4";
const ALL_NAMES = [...NAMES, JOINING];
const EXIT_INTERRUPTED = 130;

/**
 * Runs the demo: progress to stderr, the table or the document to stdout. All processes it starts are gone when it resolves.
 * @returns the exit code: 0, 1 when a read failed, a value was stale, a key was lost or a counter is wrong, 130 when it was interrupted
 * @throws RingshiftError INVALID_OPTION; Error when something cannot be started, with what to install where programs are missing
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { keys, json, signal } = options;
  if (!Number.isInteger(keys) || keys < MIN_KEYS || keys > MAX_KEYS) {
    throw new RingshiftError("INVALID_OPTION", `--keys takes a whole number from ${MIN_KEYS} to ${MAX_KEYS}.`);
  }
  const resources = new Resources();
  const interrupt = () => resources.interrupt();
  if (signal?.aborted) interrupt();
  signal?.addEventListener("abort", interrupt);
  if (signal === undefined) process.once("SIGINT", interrupt); // a second Ctrl-C ends the program, and so its servers
  try {
    const report = await Promise.race([new Demo(keys, resources).run(), resources.interrupted]);
    process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : formatTable(report));
    return isFlawless(report) ? 0 : 1;
  } catch (error) {
    if (resources.signal.aborted) return EXIT_INTERRUPTED;
    throw error;
  } finally {
    process.removeListener("SIGINT", interrupt);
    signal?.removeEventListener("abort", interrupt);
    await resources.release();
  }
}

class Demo {
  readonly #keys: number;
  readonly #resources: Resources;
  readonly #progress: ProgressLine;
  #phase = "starting servers";
  #crew: Crew | undefined;
  /** Moved by the copier: in the changes that are done, and in the one under way. */
  #copiedBefore = 0;
  #copied = 0;

  constructor(keys: number, resources: Resources) {
    this.#keys = keys;
    this.#resources = resources;
    this.#progress = new ProgressLine(process.stderr, () => {
      const latest = this.#crew?.latest;
      return {
        operations: latest?.operations ?? 0,
        failedReads: latest?.failedReads ?? 0,
        staleReads: latest?.staleReads ?? 0,
        moved: this.#copiedBefore + this.#copied + (latest?.pulled ?? 0),
        phase: this.#phase,
      };
    });
    resources.own(this.#progress, (progress) => progress.end());
  }

  async run(): Promise<DemoReport> {
    await ensureBinaries();
    const memoryMb = MEMORY_MB + Math.ceil((this.#keys / 1_000) * MEMORY_MB_PER_1000_KEYS);
    const cluster = await this.#start({ memcached: NAMES.length, memcachedOptions: { memoryMb } });
    await this.#createCluster(cluster);
    const crew = this.#startCrew(cluster.redis.url);
    this.#phase = "loading";
    await crew.load();
    crew.run();
    const changes = await this.#changes(cluster, crew);
    this.#phase = "checking every key";
    const books = await crew.stop();
    const lost = new Set(books.flatMap((book) => book.lost));
    const checked = await this.#audit(cluster, books, lost);
    const { operations, failedReads, staleReads, failedWrites, ambiguousWrites } = crew.latest;
    this.#phase = "the same keys without migration";
    const report = {
      keys: this.#keys,
      changes,
      failedReads: failedReads + checked.failedReads,
      staleReads: staleReads + checked.staleReads,
      lostKeys: lost.size,
      wrongCounters: checked.wrongCounters,
      ttlDriftMaxSeconds: milliseconds(checked.ttlDriftMaxSeconds),
      ttlDriftUnmovedMaxSeconds: milliseconds(checked.ttlDriftUnmovedMaxSeconds),
      operations,
      failedWrites,
      ambiguousWrites,
      evictions: await evictions(cluster),
      withoutMigration: await this.#withoutMigration(),
    };
    this.#progress.end();
    return report;
  }

  async #start(options: Parameters<typeof LocalCluster.start>[0]): Promise<LocalCluster> {
    return this.#resources.own(await LocalCluster.start(options), (cluster) => cluster.stop());
  }

  async #client(options: Parameters<typeof createClient>[0]) {
    return this.#resources.own(await createClient(options), (client) => client.quit());
  }

  /** Initialises the cluster, by its first client, and puts the counters. */
  async #createCluster(cluster: LocalCluster): Promise<void> {
    const servers = cluster.servers.map((address, i) => ({ name: NAMES[i]!, address }));
    const client = await this.#client({ redis: cluster.redis.url, servers });
    await client.setMulti(Array.from({ length: COUNTERS }, (_, counter) => [counterOf(counter), 0] as const));
    await client.quit();
  }

  #startCrew(redis: string): Crew {
    const assignments = Array.from({ length: PROCESSES }, (_, index): Assignment => {
      return { redis, keys: this.#keys, counters: COUNTERS, index, processes: PROCESSES, rate: RATE };
    });
    const crew = new Crew(assignments, (text) => this.#progress.problem(text));
    this.#crew = crew;
    return this.#resources.own(crew, () => crew.end());
  }

  /** Adds a fourth server, then removes it. */
  async #changes(cluster: LocalCluster, crew: Crew): Promise<ChangeFigures[]> {
    const admin = this.#resources.own(await openAdmin({ redis: cluster.redis.url }), (opened) => opened.close());
    const { signal } = this.#resources;
    const context: ChangeContext = {
      admin,
      crew,
      otherKeys: COUNTERS,
      signal,
      pause: (ms) => sleep(ms, undefined, { signal }),
      copied: (keys) => {
        this.#copied = keys;
      },
    };
    const { address } = await cluster.addMemcached();
    const add = { kind: "add-node", nodes: [{ name: JOINING, address }] } as const;
    const remove = { kind: "remove-node", names: [JOINING] } as const;
    const changes: ChangeFigures[] = [];
    for (const change of [add, remove]) {
      const name = `${change.kind} ${JOINING}`;
      this.#phase = name;
      changes.push(await changeUnderTraffic(context, name, change));
      this.#copiedBefore += this.#copied;
      this.#copied = 0;
    }
    return changes;
  }

  async #audit(cluster: LocalCluster, books: readonly Books[], lost: Set<string>): Promise<AuditFigures> {
    const client = await this.#client({ redis: cluster.redis.url });
    const pool = this.#resources.own(new LinkPool(), (opened) => opened.close());
    const problem = (text: string) => this.#progress.problem(text);
    const { signal } = this.#resources;
    const owner = ketama(ALL_NAMES);
    const mayHaveMoved = (key: number) => ALL_NAMES[owner(keyOf(key))] === JOINING;
    return audit({ client, pool, keys: this.#keys, counters: COUNTERS, books, mayHaveMoved, signal, problem, lost });
  }

  async #withoutMigration(): Promise<DemoReport["withoutMigration"]> {
    const keys = Array.from({ length: this.#keys }, (_, key) => keyOf(key));
    const pool = this.#resources.own(new LinkPool(), (opened) => opened.close());
    const parts = async () => {
      const { servers } = await this.#start({ memcached: ALL_NAMES.length, redis: false });
      return { pool, servers, keys, signal: this.#resources.signal };
    };
    return {
      modulo: await lossOf(await parts(), modulo(NAMES.length), modulo(ALL_NAMES.length)),
      ketama: await lossOf(await parts(), ketama(NAMES), ketama(ALL_NAMES)),
    };
  }
}

/** Seconds without what is finer than a millisecond. */
function milliseconds(seconds: number): number {
  return Math.round(seconds * 1_000) / 1_000;
}

/** What all servers together have evicted. */
async function evictions(cluster: LocalCluster): Promise<number> {
  const counts = await Promise.all(
    cluster.servers.map(async (address) => Number((await stats(address)).get("evictions"))),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
