/**
 * getOrSet: the value, or what `load` makes of it, with one loader per key across all processes (protocol/lease.ts).
 *
 *   read ─┬─ a value, young ─────────────────────────────► it
 *         ├─ a value past its TTL or near its end ───────► it; who wins memcached's token (mg R) loads anew behind the answer
 *         ├─ nothing ─ lease taken ─► load ─► cas on it ─► the loaded value
 *         ├─ nothing ─ its server is full (-M) ─► load ─► the loaded value, which nobody stores
 *         └─ a lease, or not taken ─► wait with jitter, look again
 *
 * A winner of the token that dies would leave the old value to expire unrenewed: after LEASE_TTL_S somebody who still reads it stores it
 * again as it is, by its CAS, which gives out a new token. A winner whose `load` makes nothing does so at once.
 * Callers of one process share one call per key (running.ts).
 */
import { RingshiftError } from "../errors.ts";
import { arrive } from "../protocol/attempt.ts";
import { giveBackLease, LEASE_TTL_S, type Lease, takeLease } from "../protocol/lease.ts";
import * as mutate from "../protocol/mutate.ts";
import { Retry } from "../protocol/outcome.ts";
import { type Found, read } from "../protocol/read.ts";
import type { Item } from "../protocol/store.ts";
import { abortable } from "./bound.ts";
import { checkCompression } from "./compress.ts";
import type { Core } from "./core.ts";
import { HeldLease } from "./held-lease.ts";
import type { Call } from "./operate.ts";
import type { Made, Running } from "./running.ts";
import type { GetOrSetOptions } from "./types.ts";

/** What computes a value. `undefined` is answered and not stored. */
export type Load<T> = () => T | Promise<T>;

/** Between two looks at a key that somebody else loads. */
const FIRST_WAIT_MS = 5;
const MAX_WAIT_MS = 100;
/** Tokens given to others that this process remembers, at most. */
const MAX_WATCHED = 10_000;

/** What memcached reads behind `R`, 32 bits; no TTL is longer. */
const MAX_REFRESH_S = 2 ** 31 - 1;

/** A value, and the node that has it. */
interface Held extends Found {
  readonly node: string;
  /** Monotonic ms, before its remaining TTL was asked for. */
  readonly askedAt: number;
}

type Seen =
  | { readonly kind: "value"; readonly held: Held }
  | { readonly kind: "lease"; readonly lease: Lease }
  | { readonly kind: "wait" }
  /** Nothing, and its server has no memory for a lease. */
  | { readonly kind: "refused" };

interface Plan {
  /** Remaining TTL below which a value is loaded anew; 0: never before it is gone. */
  readonly refreshBelow: number;
  readonly exptime: number;
  readonly options: GetOrSetOptions;
}

export class GetOrSet {
  readonly #core: Core;
  readonly #running: Running;
  /** Old values whose token somebody else has: since when this process has seen that. */
  readonly #watched = new Map<string, { readonly cas: string; readonly since: number }>();

  constructor(core: Core, running: Running) {
    this.#core = core;
    this.#running = running;
  }

  run<T>(key: string, ttl: number, load: Load<T>, options: GetOrSetOptions): Promise<T> {
    if (typeof load !== "function") {
      const message = "getOrSet takes a function that makes the value: getOrSet(key, ttl, load, options).";
      throw new RingshiftError("INVALID_OPTION", message, { key });
    }
    const plan = this.#plan(key, ttl, options);
    const wire = this.#core.wire(key);
    const { signal } = options;
    const attempt = () => this.#running.join(wire, () => this.#begin(key, load, plan), signal);
    if (signal === undefined) return attempt();
    const call = { key, wire, hash: 0, write: false, repeatable: true, attempt } satisfies Call<T>;
    return abortable(signal, call, attempt);
  }

  #plan(key: string, ttl: number, options: GetOrSetOptions): Plan {
    const { staleTtl = 0, earlyRefresh = 0, compress } = options;
    this.#core.exptime(key, ttl);
    if (compress !== undefined && typeof compress !== "boolean") checkCompression(compress);
    if (ttl === 0 && (staleTtl > 0 || earlyRefresh > 0)) {
      const message = "getOrSet: staleTtl and earlyRefresh need a TTL, and 0 is none.";
      throw new RingshiftError("INVALID_TTL", message, { key });
    }
    for (const seconds of [staleTtl, earlyRefresh]) {
      if (!Number.isFinite(seconds) || seconds < 0) {
        const message = `getOrSet: staleTtl and earlyRefresh are seconds, 0 or more, not ${seconds}.`;
        throw new RingshiftError("INVALID_TTL", message, { key });
      }
    }
    const exptime = this.#core.exptime(key, ttl === 0 ? 0 : ttl + staleTtl);
    return { refreshBelow: Math.min(Math.ceil(staleTtl + earlyRefresh), MAX_REFRESH_S), exptime, options };
  }

  async #begin<T>(key: string, load: Load<T>, plan: Plan): Promise<Made<T>> {
    const core = this.#core;
    const { clock } = core.session;
    const startedAt = clock.now();
    for (let waits = 0; ; waits++) {
      const seen = await this.#look(key, plan, startedAt);
      if (waits > 0 && seen === undefined && clock.now() - startedAt >= core.options.timeoutMs) throw this.#late(key);
      if (waits === 0) core.sawRead(key, seen?.kind === "value"); // away (undefined) is a miss: onNodeDown says so
      if (seen === undefined || seen.kind === "refused")
        return { value: await this.#loadOnly(load), sure: seen === undefined };
      if (seen.kind === "value") {
        const value = core.read(seen.held.reply, key, seen.held.node) as T;
        if (this.#isToRefresh(key, seen.held, plan)) void this.#refresh(key, load, plan, seen.held);
        return { value, sure: true };
      }
      if (seen.kind === "lease") return this.#load(key, load, plan, seen.lease);
      await clock.sleep(Math.min(FIRST_WAIT_MS * 1.5 ** waits, MAX_WAIT_MS) * (0.5 + clock.random() / 2));
      if (clock.now() - startedAt > core.options.timeoutMs) throw this.#late(key);
    }
  }

  /** Another caller has the lease, and nobody has had a value since. */
  #late(key: string): RingshiftError {
    const { timeoutMs } = this.#core.options;
    const message = `Another caller loads ${JSON.stringify(key)} and has not finished within ${timeoutMs} ms.`;
    return new RingshiftError("TIMEOUT", message, { key });
  }

  /**
   * One look at the key, and where there is nothing a try to take the lease. Undefined: its server is away.
   * @param startedAt monotonic ms of the call that it is a part of, whose time it has
   */
  #look(key: string, plan: Plan, startedAt: number): Promise<Seen | undefined> {
    const core = this.#core;
    const { session } = core;
    const flags = plan.refreshBelow > 0 ? `v f c t R${plan.refreshBelow}` : "v f c";
    // not a caller's write: what it may leave behind is a lease, which is no value
    const call: Call<Seen | undefined> = core.call<Seen | undefined>(key, false, true, async (route) => {
      let leased = false;
      const askedAt = session.clock.now();
      const found = await read(session, route, flags, () => {
        leased = true;
      });
      if (found !== undefined) return { kind: "value", held: { ...found, node: route.node.name, askedAt } };
      if (leased) return { kind: "wait" };
      if (route.moving && route.view.document.phase === "F") throw new Retry();
      await arrive(session, route);
      const lease = await takeLease(session, route);
      if (lease === "refused") return { kind: "refused" };
      if (lease !== undefined && call.abandoned) await giveBackLease(session, route, lease); // nobody loads on it
      return lease === undefined ? { kind: "wait" } : { kind: "lease", lease };
    });
    call.startedAt = startedAt;
    return core.operate(call);
  }

  /** Where nothing can be stored. */
  async #loadOnly<T>(load: Load<T>): Promise<T> {
    const { counters } = this.#core;
    counters.loads++;
    const value = await load();
    if (value !== undefined) counters.loadsDiscarded++;
    return value;
  }

  async #load<T>(key: string, load: Load<T>, plan: Plan, lease: Lease): Promise<Made<T>> {
    const core = this.#core;
    const held = new HeldLease(core, key, lease);
    let value: T;
    try {
      core.counters.loads++;
      value = await load();
    } catch (error) {
      await held.giveBack();
      throw error;
    }
    if (value === undefined) return { value, sure: await held.giveBack() };
    let stored = false;
    try {
      stored = await held.fill(this.#item(key, value, plan));
    } catch (error) {
      await held.giveBack();
      throw error;
    } finally {
      if (!stored) core.counters.loadsDiscarded++;
    }
    return { value, sure: stored };
  }

  /** Loads anew behind a caller's answer. Whatever goes wrong leaves the old value, and the token free. */
  async #refresh<T>(key: string, load: Load<T>, plan: Plan, held: Held): Promise<void> {
    const { counters } = this.#core;
    let made = false;
    try {
      counters.loads++;
      const value = await load();
      made = value !== undefined;
      if (made) {
        if (!(await this.#over(key, held, this.#item(key, value, plan)))) counters.loadsDiscarded++;
        return;
      }
    } catch {
      if (made) counters.loadsDiscarded++;
    }
    await this.#again(key, held).catch(() => {}); // its server is away: the next reader's token is not ours to give
  }

  /** A value that is past its TTL or near its end: is this caller the one to load it? */
  #isToRefresh(key: string, held: Held, plan: Plan): boolean {
    const { reply } = held;
    const { ttl } = reply;
    const old = plan.refreshBelow > 0 && ttl !== undefined && ttl >= 0 && ttl < plan.refreshBelow;
    if (!old || reply.won) {
      this.#watched.delete(key);
      return old;
    }
    const watched = this.#watched.get(key);
    const now = this.#core.session.clock.now();
    if (watched?.cas !== reply.cas) {
      if (this.#watched.size >= MAX_WATCHED) this.#watched.clear();
      this.#watched.set(key, { cas: reply.cas!, since: now });
    } else if (now - watched!.since > LEASE_TTL_S * 1000) {
      this.#watched.delete(key);
      void this.#again(key, held).catch(() => {}); // another reader does it
    }
    return false;
  }

  /** The value once more, as it is and for the time that it has left, so that the next reader wins the token. At its end it is left alone. */
  async #again(key: string, held: Held): Promise<void> {
    const { clock } = this.#core.session;
    const { ttl = 0, value, flags } = held.reply;
    const left = ttlLeft(ttl, clock.now() - held.askedAt, clock.random());
    if (left <= 0) return;
    await this.#over(key, held, { data: value!, flags: flags ?? 0, exptime: this.#core.exptime(key, left) });
  }

  /** Stores over the item that was found, if it is still that. */
  #over(key: string, { reply, exchanged, node }: Held, item: Item): Promise<boolean> {
    const { session } = this.#core;
    const incarnation = exchanged.fence?.incarnation ?? "";
    const token = { cas: reply.cas!, incarnation, connection: exchanged.connection };
    return this.#core.run(key, undefined, true, false, async (route) => {
      return node === route.node.name && mutate.compareAndSet(session, route, item, token);
    });
  }

  #item(key: string, value: unknown, plan: Plan): Item {
    const { data, flags } = this.#core.codec.encode(value, key, plan.options.compress);
    return { data, flags, exptime: plan.exptime };
  }
}

/**
 * What is left of a TTL after a while, in the whole seconds that memcached counts. A part of a second counts as one as often as it is long, so
 * that a value which is stored again and again ends when it should on the average: rounded up it would end early, rounded down never.
 * @param chance uniform in [0, 1)
 */
export function ttlLeft(ttlS: number, passedMs: number, chance: number): number {
  return ttlS - Math.floor(passedMs / 1000 + chance);
}
