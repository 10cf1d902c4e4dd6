/** A client whose every answer is checked against the ledger: one process' reads of all keys, writes of its own, increments of shared counters. */
import type { Client } from "../client/client.ts";
import { isRingshiftError } from "../errors.ts";
import type { SessionCounters } from "../protocol/session.ts";
import { Ledger, type Sighting } from "./ledger.ts";
import { type Assignment, type Books, monotonicMs, type Report, type Tally } from "./messages.ts";
import { contentOf, counterOf, keyOf, ttlOf, versionOf } from "./values.ts";

/** What of a client is used here. */
export interface CacheClient extends Pick<Client, "get" | "set" | "add" | "delete"> {
  incr(key: string, delta?: number): Promise<number | undefined>;
  metrics(): SessionCounters;
}

export class CheckedClient {
  readonly #client: CacheClient;
  readonly #assignment: Assignment;
  readonly #problem: (text: string) => void;
  readonly #ledger: Ledger;
  readonly #sentAt: Float64Array; // by own number; NaN while the effect of a write is unknown
  readonly #answeredAt: Float64Array;
  /** Own keys without a value, longest first. */
  readonly #gone = new Set<number>();
  readonly #lost = new Set<string>();
  /** What the other processes are to hear, as pairs of key and stamp. */
  #news: number[] = [];
  #counting = false;
  readonly #increments: Float64Array;
  readonly #doubtfulIncrements: Float64Array;
  /** By counter: the highest value an increment of this process has answered. */
  readonly #counts: Float64Array;
  readonly #tally: Tally = {
    operations: 0,
    failedReads: 0,
    staleReads: 0,
    lostKeys: 0,
    failedWrites: 0,
    ambiguousWrites: 0,
  };

  /** Number of own keys. */
  readonly own: number;

  /** @param problem told of every wrong answer, in words */
  constructor(client: CacheClient, assignment: Assignment, problem: (text: string) => void) {
    const { keys, counters, index, processes } = assignment;
    this.#client = client;
    this.#assignment = assignment;
    this.#problem = problem;
    this.#ledger = new Ledger(keys, { index, of: processes });
    this.own = Math.max(0, Math.ceil((keys - index) / processes));
    for (let number = 0; number < this.own; number++) this.#gone.add(this.ownKey(number));
    this.#sentAt = new Float64Array(this.own).fill(Number.NaN);
    this.#answeredAt = new Float64Array(this.own).fill(Number.NaN);
    this.#increments = new Float64Array(counters);
    this.#doubtfulIncrements = new Float64Array(counters);
    this.#counts = new Float64Array(counters);
  }

  /** The key that is this process' `number`-th, from 0. */
  ownKey(number: number): number {
    return number * this.#assignment.processes + this.#assignment.index;
  }

  /** Own keys without a value, longest first. */
  get gone(): ReadonlySet<number> {
    return this.#gone;
  }

  /** An operation may begin only when this process' last one on the key has ended: the ledger would not know what to expect. */
  async read(key: number): Promise<void> {
    const floor = this.#ledger.stamp(key);
    let seen: Sighting;
    try {
      const value = await this.#client.get(keyOf(key));
      seen = value === undefined ? "miss" : (versionOf(key, value) ?? "malformed");
    } catch (error) {
      this.#tally.failedReads++;
      this.#problem(`read of ${keyOf(key)} failed: ${describe(error)}`);
      return;
    } finally {
      this.#ended();
    }
    const verdict = this.#ledger.judge(key, floor, seen);
    this.#noteState(key);
    const details = `${keyOf(key)} shows ${seen}, its stamp is ${floor}`;
    if (verdict === "stale") this.#stale(details);
    if (verdict === "lost") this.#lose(keyOf(key), details);
  }

  /** Writes an own key's next version. `add` is for keys without a value: it has to find none. */
  async store(key: number, how: "set" | "add"): Promise<void> {
    const floor = this.#ledger.stamp(key);
    const sure = this.#ledger.doubts(key).length === 0;
    const version = this.#ledger.nextVersion(key);
    const ttl = ttlOf(key, version);
    const stored = await this.#write(key, version * 2, () =>
      this.#client[how](keyOf(key), contentOf(key, version), { ttl }),
    );
    if (stored === false && sure) this.#stale(`add found a value under ${keyOf(key)}, its stamp is ${floor}`);
  }

  /** Deletes an own key that has a value. */
  async remove(key: number): Promise<void> {
    const floor = this.#ledger.stamp(key);
    const sure = this.#ledger.doubts(key).length === 0;
    const deleted = await this.#write(key, floor | 1, () => this.#client.delete(keyOf(key)));
    if (deleted === false && sure) this.#lose(keyOf(key), `delete found no ${keyOf(key)}, its stamp is ${floor}`);
  }

  /** Counters take any number of increments at once. */
  async increment(counter: number, delta: number): Promise<void> {
    const key = counterOf(counter);
    const before = this.#counts[counter]!;
    let count: number | undefined;
    try {
      count = await this.#client.incr(key, delta);
    } catch (error) {
      if (this.#writeFailed(error, key)) this.#doubtfulIncrements[counter]! += delta;
      return;
    } finally {
      this.#ended();
    }
    if (count === undefined) return this.#lose(key, `${key} has no value`);
    this.#increments[counter]! += delta;
    if (count < before + delta) this.#stale(`${key} shows ${count} after ${before} and an increment of ${delta}`);
    this.#counts[counter] = Math.max(this.#counts[counter]!, count);
  }

  /** What another process' `takeNews` has answered. */
  hear(news: Int32Array): void {
    for (let i = 0; i < news.length; i += 2) {
      const [key, stamp] = [news[i]!, news[i + 1]!];
      if (stamp > 0) this.#ledger.acknowledged(key, stamp);
      else this.#ledger.doubtful(key, -stamp);
    }
  }

  /** Own writes since the last call, as pairs of key and stamp; the stamp is negative where the effect is unknown. */
  takeNews(): Int32Array {
    const news = Int32Array.from(this.#news);
    this.#news = [];
    return news;
  }

  /** From here on operations are counted: what came before was loading. */
  loaded(): void {
    this.#counting = true;
  }

  report(): Report {
    return { tally: { ...this.#tally }, metrics: this.#client.metrics(), present: this.own - this.#gone.size };
  }

  books(): Books {
    const keys = Array.from({ length: this.own }, (_, number) => this.ownKey(number));
    return {
      stamps: Int32Array.from(keys, (key) => this.#ledger.stamp(key)),
      sentAt: this.#sentAt,
      answeredAt: this.#answeredAt,
      doubts: new Map(
        keys.map((key) => [key, this.#ledger.doubts(key)] as const).filter(([, stamps]) => stamps.length > 0),
      ),
      lost: [...this.#lost],
      increments: this.#increments,
      doubtfulIncrements: this.#doubtfulIncrements,
      report: this.report(),
    };
  }

  /** Sends a write that makes `stamp`; what came of it is in the ledger then. Undefined when it rejected. */
  async #write(key: number, stamp: number, send: () => Promise<boolean>): Promise<boolean | undefined> {
    const number = Math.floor(key / this.#assignment.processes);
    const sentAt = monotonicMs();
    try {
      const applied = await send();
      if (!applied && stamp % 2 === 0) return false; // an add that met a value
      this.#ledger.acknowledged(key, stamp);
      this.#news.push(key, stamp);
      this.#sentAt[number] = sentAt;
      this.#answeredAt[number] = monotonicMs();
      this.#noteState(key);
      return applied;
    } catch (error) {
      if (this.#writeFailed(error, keyOf(key))) {
        this.#ledger.doubtful(key, stamp);
        this.#news.push(key, -stamp);
        this.#sentAt[number] = Number.NaN;
      }
      return undefined;
    } finally {
      this.#ended();
    }
  }

  /** Counts a write that rejected; true when it may have taken effect. */
  #writeFailed(error: unknown, key: string): boolean {
    if (isRingshiftError(error, "AMBIGUOUS_WRITE")) {
      this.#tally.ambiguousWrites++;
      return true;
    }
    this.#tally.failedWrites++;
    this.#problem(`write of ${key} failed: ${describe(error)}`);
    return false;
  }

  #ended(): void {
    if (this.#counting) this.#tally.operations++;
  }

  #noteState(key: number): void {
    if (!this.#ledger.owns(key)) return;
    if (this.#ledger.present(key)) this.#gone.delete(key);
    else this.#gone.add(key);
  }

  #stale(details: string): void {
    this.#tally.staleReads++;
    this.#problem(`stale: ${details}`);
  }

  #lose(key: string, details: string): void {
    this.#lost.add(key);
    this.#tally.lostKeys = this.#lost.size;
    this.#problem(`lost: ${details}`);
  }
}

function describe(error: unknown): string {
  return isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error);
}
