/**
 * The deterministic scheduler: virtual time, a heap of events, one event at a time.
 *
 *   pop the earliest event ─► run it ─► (a process' event) drain all microtasks it set off ─► pop the next
 *
 * The product's code runs unchanged: every promise it awaits on is resolved by an event here (a reply, a sleep, a turn of the event loop), and
 * between two events it runs until it awaits again.
 *
 * An event belongs to a process or to nobody (servers, Redis, the network). A paused process' events wait until it goes on; a dead one's never
 * come.
 */
import type { Random } from "./random.ts";

/** Whoever can be paused or crashed. */
export interface Owner {
  readonly name: string;
  pausedUntil: number;
  dead: boolean;
}

/** Something that will happen. */
export interface Event {
  time: number;
  readonly order: number;
  readonly owner: Owner | undefined;
  /** Undefined: it was cancelled. */
  run: (() => void) | undefined;
}

/**
 * Runs all microtasks and ticks that are waiting, and those that they set off. Node has it without documenting it. What is documented, a `nextTick`
 * asked for from a microtask, does the same and took a seventh of a run's time.
 */
const drain = (process as unknown as { readonly _tickCallback: () => void })._tickCallback;

export class Scheduler {
  readonly random: Random;
  /** Called with a line per step of interest, when a run is traced. */
  trace: ((line: () => string) => void) | undefined;
  /** Called before each event: faults happen here. */
  beforeEvent: () => void = () => {};
  now = 0;
  events = 0;
  /** Whose event runs, or ran last: what its code asks for until the next event is its own. */
  current: Owner | undefined;
  readonly #heap: Event[] = [];
  /** Events of paused processes whose time has come. */
  readonly #parked = new Map<Owner, Event[]>();
  #order = 0;
  #stopped = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(random: Random) {
    this.random = random;
  }

  /** Runs `run` after `delay` virtual ms: in the process of `owner`, or in nobody's. */
  after(delay: number, owner: Owner | undefined, run: () => void): Event {
    return this.at(this.now + delay, owner, run);
  }

  at(time: number, owner: Owner | undefined, run: () => void): Event {
    const event: Event = { time: Math.max(time, this.now), order: this.#order++, owner, run };
    this.#push(event);
    return event;
  }

  /** Its time comes all the same, and a fault may come with it, but nothing runs then: most events are time limits that are not reached. */
  cancel(event: Event): void {
    event.run = undefined;
  }

  /** Stops a process for `ms`, or until `resume`. */
  pause(owner: Owner, ms: number): void {
    owner.pausedUntil = Math.max(owner.pausedUntil, this.now + ms);
    this.at(owner.pausedUntil, undefined, () => this.#release(owner));
  }

  /** It goes on now. */
  resume(owner: Owner): void {
    owner.pausedUntil = this.now;
    this.#release(owner);
  }

  note(line: () => string): void {
    if (this.trace !== undefined) this.trace(() => `${this.now.toFixed(2).padStart(9)} ${line()}`);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Ends the run with an error: the simulation itself, or the product, did what neither may. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stopped = true;
  }

  /** Runs events until `stop`, until none is left, or up to the limits. True when it was stopped. */
  run(maxEvents: number, maxTime: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      process.nextTick(() => {
        // from a microtask the others could not be run
        try {
          resolve(this.#run(maxEvents, maxTime));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #run(maxEvents: number, maxTime: number): boolean {
    while (!this.#stopped && this.events < maxEvents) {
      this.beforeEvent();
      const event = this.#pop();
      if (event === undefined || event.time > maxTime) break;
      this.now = event.time;
      const { owner } = event;
      if (owner?.dead) continue;
      if (owner !== undefined && owner.pausedUntil > this.now) {
        this.#park(owner, event);
        continue;
      }
      this.events++;
      this.current = owner;
      if (event.run === undefined) continue;
      event.run();
      if (owner !== undefined) drain();
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#stopped;
  }

  #park(owner: Owner, event: Event): void {
    const parked = this.#parked.get(owner);
    if (parked === undefined) this.#parked.set(owner, [event]);
    else parked.push(event);
  }

  #release(owner: Owner): void {
    if (owner.pausedUntil > this.now) return;
    for (const event of this.#parked.get(owner) ?? []) {
      event.time = this.now;
      this.#push(event);
    }
    this.#parked.delete(owner);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!earlier(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child++;
      if (!earlier(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
