/**
 * The client process that `stopped-client` stops and continues. It never rests: some loops read keys that the parent writes, write and read
 * keys of its own, and increment counters that the parent increments too. It keeps what it was answered; the parent judges.
 *
 *   s:i  written by the parent, versions 1, 2, 3 ...      o:i  written here alone      c:i  incremented by both
 */
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { answering, machineMs, opened } from "./child.ts";

export type TrafficQuestion =
  | { readonly type: "run"; readonly redis: string; readonly keys: number; readonly counters: number }
  /** Answered when every loop has done some more operations. */
  | { readonly type: "report" }
  /** The same, and the loops end. */
  | { readonly type: "stop" };

/** An answered read of a key that the parent writes: machine times in ms, and the version, 0 for a miss. */
export type SharedRead = readonly [key: number, began: number, ended: number, version: number];

export interface TrafficReport {
  readonly operations: number;
  /** Answered reads of shared keys since the last report. */
  readonly reads: readonly SharedRead[];
  /** Calls that rejected as out of time: nothing was acknowledged, nor written. */
  readonly refused: number;
  readonly ambiguous: number;
  /** What must not be, in words. */
  readonly wrong: readonly string[];
  /** Per own key the versions that may stand there, the acknowledged one first; 0 for none. */
  readonly own: readonly (readonly number[])[];
  /** Acknowledged increments per counter, and those of unknown effect. */
  readonly counted: readonly number[];
  readonly perhaps: readonly number[];
}

const LOOPS = 12;
/** What a call whose time has passed during the stop may reject with. */
const REFUSALS: ReadonlySet<string> = new Set(["TIMEOUT", "NODE_DOWN", "REDIS_UNREACHABLE"]);
/** Operations of every loop before a report is answered. */
const MORE = 60;

class Traffic {
  readonly #client: Awaited<ReturnType<typeof createClient>>;
  readonly #own: number[][];
  readonly #counted: number[];
  readonly #perhaps: number[];
  readonly #busy = new Set<number>();
  readonly #done = new Array<number>(LOOPS).fill(0);
  readonly #wrong: string[] = [];
  #version = 0;
  #reads: SharedRead[] = [];
  #operations = 0;
  #refused = 0;
  #ambiguous = 0;
  #ending = false;
  readonly #loops: Promise<void>[];

  constructor(client: Awaited<ReturnType<typeof createClient>>, keys: number, counters: number) {
    this.#client = client;
    this.#own = Array.from({ length: keys }, () => [0]);
    this.#counted = new Array<number>(counters).fill(0);
    this.#perhaps = new Array<number>(counters).fill(0);
    this.#loops = Array.from({ length: LOOPS }, (_, i) => this.#loop(i));
  }

  async report(end: boolean): Promise<TrafficReport> {
    const goal = this.#done.map((done) => done + MORE);
    while (this.#done.some((done, i) => done < goal[i]!)) await new Promise((resolve) => setTimeout(resolve, 10));
    if (end) {
      this.#ending = true;
      await Promise.all(this.#loops);
    }
    const reads = this.#reads;
    this.#reads = [];
    return {
      operations: this.#operations,
      reads,
      refused: this.#refused,
      ambiguous: this.#ambiguous,
      wrong: this.#wrong.splice(0),
      own: this.#own,
      counted: this.#counted,
      perhaps: this.#perhaps,
    };
  }

  async #loop(index: number): Promise<void> {
    while (!this.#ending) {
      const turn = Math.random();
      if (turn < 0.5) await this.#readShared();
      else if (turn < 0.7) await this.#onOwn((key) => this.#writeOwn(key));
      else if (turn < 0.85) await this.#onOwn((key) => this.#readOwn(key));
      else await this.#count();
      this.#done[index]!++;
      this.#operations++;
      if (turn < 0.05) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async #readShared(): Promise<void> {
    const key = Math.floor(Math.random() * this.#own.length);
    const began = machineMs();
    const value = await this.#tried(this.#client.get<number>(`s:${key}`));
    if (value !== REFUSED) this.#reads.push([key, began, machineMs(), value ?? 0]);
  }

  /** One call at a time per own key, so that its order is known. */
  async #onOwn(work: (key: number) => Promise<void>): Promise<void> {
    const key = Math.floor(Math.random() * this.#own.length);
    if (this.#busy.has(key)) return;
    this.#busy.add(key);
    await work(key);
    this.#busy.delete(key);
  }

  async #writeOwn(key: number): Promise<void> {
    const version = ++this.#version;
    const outcome = await this.#tried(this.#client.set(`o:${key}`, version), () => {
      this.#own[key]!.push(version); // may stand there, now or later
    });
    if (outcome !== REFUSED) this.#own[key] = [version, ...this.#own[key]!.slice(1)];
  }

  async #readOwn(key: number): Promise<void> {
    const value = await this.#tried(this.#client.get<number>(`o:${key}`));
    const allowed = this.#own[key]!;
    if (value === REFUSED || allowed.includes(value ?? 0)) return;
    this.#wrong.push(`o:${key} read ${value ?? "nothing"}, ${allowed[0]} was acknowledged`);
  }

  async #count(): Promise<void> {
    const counter = Math.floor(Math.random() * this.#counted.length);
    const value = await this.#tried(this.#client.incr(`c:${counter}`), () => {
      this.#perhaps[counter]!++;
    });
    if (value === REFUSED) return;
    if (value === undefined) this.#wrong.push(`c:${counter} was not there`);
    else this.#counted[counter]!++;
  }

  async #tried<T>(call: Promise<T>, ambiguous: () => void = () => {}): Promise<T | typeof REFUSED> {
    try {
      return await call;
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      if (error.code === "AMBIGUOUS_WRITE") {
        this.#ambiguous++;
        ambiguous();
      } else if (REFUSALS.has(error.code)) this.#refused++;
      else this.#wrong.push(`${error.code}: ${error.message}`);
      return REFUSED;
    }
  }
}

const REFUSED: unique symbol = Symbol("refused");

let traffic: Traffic | undefined;

answering(async (question: TrafficQuestion): Promise<TrafficReport> => {
  if (question.type === "run") {
    const client = await opened(() => createClient({ redis: question.redis }));
    traffic = new Traffic(client, question.keys, question.counters);
  }
  return traffic!.report(question.type === "stop");
});
