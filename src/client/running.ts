/**
 * The calls of getOrSet that are under way in this process, one per key: who calls meanwhile joins.
 *
 *   join ─► it ends ─┬─ sure ────────────────────────────────► its value
 *                    └─ else: what began after the caller called, or what the caller begins ─► its value
 *
 * *Sure* is a value that was read, and one that was loaded and stored on its lease, since nothing has happened to the key in between then; and one
 * that was loaded because the server is away, where nobody can know better. What else was not stored may be older than a write that was acknowledged before the caller called. This process' own writes do not leave that to be
 * found out: they make what is under way forgotten, so that nobody who calls after them joins it.
 */
import type { Core } from "./core.ts";

/** What a call has come to. */
export interface Made<T> {
  readonly value: T;
  /** It is an answer for those too who called after the call began. */
  readonly sure: boolean;
}

export class Running {
  readonly #core: Core;
  readonly #calls = new Map<string, Promise<Made<unknown>>>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** The key is written by a caller from now on. */
  forget(key: string): void {
    if (this.#calls.size > 0) this.#calls.delete(this.#core.wire(key));
  }

  /** The call on the key that is under way, or the one that `begin` makes. Who is aborted leaves it to the others, and begins none. */
  async join<T>(wire: string, begin: () => Promise<Made<T>>, signal: AbortSignal | undefined): Promise<T> {
    const running = this.#calls.get(wire) as Promise<Made<T>> | undefined;
    if (running === undefined) return (await this.#begin(wire, begin)).value;
    const { value, sure } = await running;
    if (sure || signal?.aborted || this.#core.closed) return value;
    const next = this.#calls.get(wire) as Promise<Made<T>> | undefined; // not the one before, which has ended
    return (await (next ?? this.#begin(wire, begin))).value;
  }

  #begin<T>(wire: string, begin: () => Promise<Made<T>>): Promise<Made<T>> {
    const call: Promise<Made<T>> = begin().finally(() => {
      if (this.#calls.get(wire) === call) this.#calls.delete(wire);
    });
    this.#calls.set(wire, call);
    return call;
  }
}
