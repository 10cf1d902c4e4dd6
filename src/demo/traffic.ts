/**
 * The traffic of one client process: reads of any key, writes and deletes of its own keys, increments of counters that all processes
 * share. Keys are drawn evenly, so keys that are moving are met by chance only.
 *
 *   tick ─► as many operations as are due ─► key busy? the next one ─► checked client
 */
import type { CheckedClient } from "./checked-client.ts";
import { type Assignment, monotonicMs } from "./messages.ts";

const TICK_MS = 5;
/** Operations under way at once, at most; of few keys no more than half of them, so that there is a free one. */
const MAX_IN_FLIGHT = 64;
/** Operations that were due and could not be started are forgotten beyond this many ms of them. */
const MAX_ARREARS_MS = 50;
/** Of 100 operations; the rest are reads. */
const INCREMENTS = 5;
const DELETES = 4;
const WRITES = 12;
/** Part of the own keys that may be without a value. */
const MAX_GONE = 0.02;
const MAX_DELTA = 5;
const LOAD_AT_ONCE = 500;

export class Traffic {
  readonly #client: CheckedClient;
  readonly #assignment: Assignment;
  readonly #busy = new Set<number>();
  readonly #maxInFlight: number;
  #inFlight = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: (() => void) | undefined;

  constructor(client: CheckedClient, assignment: Assignment) {
    this.#client = client;
    this.#assignment = assignment;
    this.#maxInFlight = Math.max(1, Math.min(MAX_IN_FLIGHT, Math.floor(client.own / 2)));
  }

  /** Writes all own keys. @throws Error when one of them could not be written */
  async load(): Promise<void> {
    const { own } = this.#client;
    for (let from = 0; from < own; from += LOAD_AT_ONCE) {
      const numbers = Array.from({ length: Math.min(LOAD_AT_ONCE, own - from) }, (_, i) => from + i);
      await Promise.all(numbers.map((number) => this.#client.store(this.#client.ownKey(number), "set")));
    }
    if (this.#client.gone.size > 0) throw new Error(`${this.#client.gone.size} keys could not be loaded`);
    this.#client.loaded();
  }

  run(): void {
    const perMs = this.#assignment.rate / 1_000;
    let last = monotonicMs();
    let due = 0;
    this.#timer = setInterval(() => {
      const now = monotonicMs();
      due = Math.min(due + (now - last) * perMs, Math.max(1, MAX_ARREARS_MS * perMs));
      last = now;
      for (; due >= 1 && this.#inFlight < this.#maxInFlight; due--) void this.#one();
    }, TICK_MS);
  }

  /** Ends the traffic and resolves when every operation has its answer. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  async #one(): Promise<void> {
    this.#inFlight++;
    const draw = below(100);
    if (draw < INCREMENTS) await this.#client.increment(below(this.#assignment.counters), 1 + below(MAX_DELTA));
    else if (draw < INCREMENTS + DELETES) await this.#mutate(true);
    else if (draw < INCREMENTS + DELETES + WRITES) await this.#mutate(false);
    else await this.#alone(below(this.#assignment.keys), (key) => this.#client.read(key));
    this.#inFlight--;
    if (this.#inFlight === 0) this.#idle?.();
  }

  /** A delete, or a write: of the key that has been without a value for longest when there are many such, else of any own key. */
  async #mutate(wantsDelete: boolean): Promise<void> {
    const { gone, own } = this.#client;
    if (gone.size > own * MAX_GONE) {
      const [longest] = gone;
      return this.#alone(longest!, (key) => this.#client.store(key, gone.has(key) && below(2) === 0 ? "add" : "set"));
    }
    await this.#alone(this.#client.ownKey(below(own)), (key) =>
      wantsDelete && !gone.has(key) ? this.#client.remove(key) : this.#client.store(key, "set"),
    );
  }

  /** One operation of this process on a key at a time: when there is one, the next free key of the same writer is taken. */
  async #alone(wanted: number, operation: (key: number) => Promise<void>): Promise<void> {
    const { keys, processes } = this.#assignment;
    let key = wanted;
    while (this.#busy.has(key)) key = key + processes < keys ? key + processes : key % processes;
    this.#busy.add(key);
    await operation(key);
    this.#busy.delete(key);
  }
}

function below(limit: number): number {
  return Math.floor(Math.random() * limit);
}
