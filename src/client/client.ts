/**
 * The client: routes every command to the server that owns its key, and keeps doing so while the ring changes.
 *
 *   call ─► wire key, hash ─► operate (attempts, rule V) ─► read.ts / mutate.ts (rules R, M, P) ─► transport (one flush a tick)
 */
import { type ErrorCode, RingshiftError } from "../errors.ts";
import { exptimeOf, metaArithmetic, metaDelete, metaGet, metaSet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { ConnectionRef, Reply } from "../memcached/exchange.ts";
import { toWireKey } from "../memcached/key.ts";
import * as mutate from "../protocol/mutate.ts";
import { read } from "../protocol/read.ts";
import type { SessionCounters } from "../protocol/session.ts";
import type { Route } from "../protocol/view.ts";
import { keyHash } from "../ring/index.ts";
import type { Phase } from "../topology/document.ts";
import { decode, encode } from "./codec.ts";
import { DirectWay, UNDECIDED } from "./direct.ts";
import { Lanes } from "./lanes.ts";
import { type Call, type OperateOptions, operate } from "./operate.ts";
import type { OpenSession } from "./session.ts";

export interface WriteOptions {
  /** Time to live in seconds; 0 or absent: never expires. More than 30 days is converted for memcached. */
  readonly ttl?: number;
}

/**
 * Says which state of an item `gets` has seen. It is bound to its server and that server's incarnation: after a move or a restart `cas`
 * answers false without being sent.
 */
export interface CasToken {
  readonly node: string;
  readonly incarnation: string;
  readonly cas: string;
}

export interface Versioned<T> {
  readonly value: T;
  readonly cas: CasToken;
}

/** Where a key lives. */
export interface Location {
  readonly key: string;
  /** The key as it goes over the wire, namespace included. */
  readonly wireKey: string;
  /** The owning ring point. */
  readonly point: number;
  readonly node: string;
  readonly address: string;
  /** Index of the node, given at joining. */
  readonly index: number;
  /** Redis set that lists the key. Undefined without Redis. */
  readonly set: string | undefined;
  /** While the key is moving: the node it comes from. */
  readonly movingFrom: string | undefined;
}

export interface ClusterState {
  readonly epoch: number;
  readonly phase: Phase;
  readonly nodes: readonly { readonly name: string; readonly address: string; readonly index: number }[];
}

const MAX_DELTA = 2n ** 64n - 1n;

export class Client {
  readonly #open: OpenSession;
  readonly #options: OperateOptions;
  readonly #lanes = new Lanes();
  readonly #direct: DirectWay;
  readonly #connections = new WeakMap<CasToken, ConnectionRef>();
  #closed = false;

  /** Use `createClient`. */
  constructor(open: OpenSession, options: OperateOptions) {
    this.#open = open;
    this.#options = options;
    this.#direct = new DirectWay(open.session, open.pool, this.#lanes, options);
  }

  /** The value, or undefined on a miss. @throws RingshiftError */
  async get<T = unknown>(key: string): Promise<T | undefined> {
    const wire = this.#wire(key);
    const hash = keyHash(wire);
    const attempt = async (route: Route) => {
      const found = await read(this.#open.session, route, "v f c");
      return found && (decode(found.reply.value!, found.reply.flags ?? 0) as T);
    };
    const call = { key, wire, hash, write: false, repeatable: true, attempt };
    const route = this.#direct.open(wire, hash);
    if (route === undefined) return this.#operate(call);
    return this.#direct.send(route, call, metaGet(wire, "v f"), answerGet<T>);
  }

  /** The value and a token for `cas`, or undefined on a miss. @throws RingshiftError */
  async gets<T = unknown>(key: string): Promise<Versioned<T> | undefined> {
    return this.#run(key, false, true, async (session, route) => {
      const found = await read(session, route, "v f c");
      if (found === undefined) return undefined;
      const { reply, exchanged } = found;
      const incarnation = exchanged.fence?.incarnation ?? "";
      const cas: CasToken = Object.freeze({ node: route.node.name, incarnation, cas: reply.cas! });
      this.#connections.set(cas, exchanged.connection);
      return { value: decode(reply.value!, reply.flags ?? 0) as T, cas };
    });
  }

  /** The values that are there, by key; misses are left out. @throws RingshiftError when any key could not be read */
  async getMulti<T = unknown>(keys: Iterable<string>): Promise<Map<string, T>> {
    const list = [...new Set(keys)];
    const values = await all(list.map((key) => this.get<T>(key)));
    const found = new Map<string, T>();
    for (const [i, value] of values.entries()) if (value !== undefined) found.set(list[i]!, value);
    return found;
  }

  /** Stores the value. @throws RingshiftError, AMBIGUOUS_WRITE when the effect is unknown */
  async set(key: string, value: unknown, options: WriteOptions = {}): Promise<true> {
    const item = this.#item(key, value, options);
    const wire = this.#wire(key);
    const hash = keyHash(wire);
    const { session } = this.#open;
    const attempt = (route: Route) => mutate.set(session, route, item);
    const call = { key, wire, hash, write: true, repeatable: true, attempt };
    const route = this.#direct.open(wire, hash);
    if (route === undefined || !mutate.canStoreAtOnce(session, route, item)) return this.#operate(call);
    const command = metaSet(wire, item.data, { flags: item.flags, ttl: item.exptime });
    return this.#direct.send(route, call, command, answerSet);
  }

  /**
   * Stores all entries, each as `set` does.
   * @throws RingshiftError the first failure; the other entries have been tried all the same
   */
  async setMulti(
    entries: Readonly<Record<string, unknown>> | Iterable<readonly [string, unknown]>,
    options: WriteOptions = {},
  ): Promise<true> {
    const list = isIterable(entries) ? [...entries] : Object.entries(entries);
    for (const [key, value] of list) {
      this.#wire(key); // all of them are checked before any is sent
      this.#item(key, value, options);
    }
    await all(list.map(([key, value]) => this.set(key, value, options)));
    return true;
  }

  /** Stores the value where none is; false when there is one. @throws RingshiftError */
  async add(key: string, value: unknown, options: WriteOptions = {}): Promise<boolean> {
    const item = this.#item(key, value, options);
    return this.#run(key, true, false, (session, route) => mutate.add(session, route, item));
  }

  /** Stores the value where one is; false when there is none. @throws RingshiftError */
  async replace(key: string, value: unknown, options: WriteOptions = {}): Promise<boolean> {
    const item = this.#item(key, value, options);
    return this.#run(key, true, false, (session, route) => mutate.replace(session, route, item));
  }

  /** Stores the value if the item is still the one that `gets` gave the token for; else false. @throws RingshiftError */
  async cas(key: string, value: unknown, token: CasToken, options: WriteOptions = {}): Promise<boolean> {
    const item = this.#item(key, value, options);
    if (typeof token?.cas !== "string") {
      throw new RingshiftError("INVALID_OPTION", "cas needs the token that gets answered: cas(key, value, token).", {
        key,
      });
    }
    return this.#run(key, true, false, async (session, route) => {
      if (token.node !== route.node.name) return false;
      return mutate.compareAndSet(session, route, item, { ...token, connection: this.#connections.get(token) });
    });
  }

  /** True when there was a value to delete. @throws RingshiftError */
  async delete(key: string): Promise<boolean> {
    const wire = this.#wire(key);
    const hash = keyHash(wire);
    const attempt = (route: Route) => mutate.remove(this.#open.session, route);
    const call = { key, wire, hash, write: true, repeatable: true, attempt };
    const route = this.#direct.open(wire, hash);
    if (route === undefined) return this.#operate(call);
    return this.#direct.send(route, call, metaDelete(wire), answerDelete);
  }

  /** As `delete`. */
  del(key: string): Promise<boolean> {
    return this.delete(key);
  }

  /** Deletes all keys; by key, whether there was a value. @throws RingshiftError the first failure; the other keys have been tried */
  async deleteMulti(keys: Iterable<string>): Promise<Map<string, boolean>> {
    const list = [...new Set(keys)];
    const deleted = await all(list.map((key) => this.delete(key)));
    return new Map(list.map((key, i) => [key, deleted[i]!]));
  }

  /** Adds to a decimal value (64 bits, wraps round); the new value, or undefined on a miss. @throws RingshiftError NOT_NUMERIC */
  async incr(key: string, delta: number | bigint = 1): Promise<number | undefined> {
    return this.#count(key, delta, false);
  }

  /** Subtracts from a decimal value, not below 0; the new value, or undefined on a miss. @throws RingshiftError NOT_NUMERIC */
  async decr(key: string, delta: number | bigint = 1): Promise<number | undefined> {
    return this.#count(key, delta, true);
  }

  /** Gives the item a new TTL in seconds (0: never expires); false on a miss. @throws RingshiftError */
  async touch(key: string, ttl: number): Promise<boolean> {
    const exptime = this.#exptime(key, ttl);
    return this.#run(key, false, true, (session, route) => mutate.touch(session, route, exptime));
  }

  /** Where the key lives now. @throws RingshiftError INVALID_KEY */
  locate(key: string): Location {
    const wireKey = this.#wire(key);
    const { session } = this.#open;
    const { document, unfenced } = session.view;
    const route = session.view.route(wireKey, keyHash(wireKey));
    const { name, address, index } = route.node;
    return {
      key,
      wireKey: Buffer.from(wireKey, "latin1").toString("utf8"),
      point: route.point,
      node: name,
      address,
      index,
      set: unfenced ? undefined : session.namespace.keysOf(document.generation, route.point),
      movingFrom: route.moving ? route.source!.name : undefined,
    };
  }

  /** Epoch, phase and nodes as this client routes by them. */
  topology(): ClusterState {
    const { epoch, phase, nodes } = this.#open.session.view.document;
    return { epoch, phase, nodes: nodes.map(({ name, address, index }) => ({ name, address, index })) };
  }

  /** What the protocol did in this client, in numbers that only grow. */
  metrics(): Readonly<SessionCounters> {
    return { ...this.#open.session.counters };
  }

  /** Ends the client: what is in flight is answered or times out, later calls reject with CLOSED. */
  async quit(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#open.close();
  }

  async #count(key: string, delta: number | bigint, decrement: boolean): Promise<number | undefined> {
    const whole = typeof delta === "bigint" ? delta : Number.isSafeInteger(delta) ? BigInt(delta) : -1n;
    if (whole < 0n || whole > MAX_DELTA) {
      throw new RingshiftError("INVALID_OPTION", `The delta is a whole number, 0 or more, not ${delta}.`, { key });
    }
    const wire = this.#wire(key);
    const hash = keyHash(wire);
    const attempt = (route: Route) => mutate.arithmetic(this.#open.session, route, whole, decrement);
    const call = { key, wire, hash, write: true, repeatable: false, attempt };
    const route = this.#direct.open(wire, hash);
    const command = metaArithmetic(wire, { delta: whole, decrement });
    const text = await (route === undefined
      ? this.#operate(call)
      : this.#direct.send(route, call, command, answerCount));
    return text === undefined ? undefined : Number(text);
  }

  #item(key: string, value: unknown, options: WriteOptions): mutate.Item {
    const { data, flags } = encode(value, key);
    return { data, flags, exptime: this.#exptime(key, options.ttl ?? 0) };
  }

  #exptime(key: string, ttl: number): number {
    if (typeof ttl !== "number" || !Number.isFinite(ttl) || ttl < 0) {
      throw new RingshiftError("INVALID_TTL", `The TTL is a number of seconds, 0 or more, not ${ttl}.`, { key });
    }
    return exptimeOf(ttl, this.#open.session.clock.epochSeconds());
  }

  #wire(key: string): string {
    if (this.#closed) throw failure("CLOSED", "The client was closed by quit().", key);
    return toWireKey(this.#open.session.namespace.keyPrefix, key);
  }

  #run<T>(
    key: string,
    write: boolean,
    repeatable: boolean,
    attempt: (session: OpenSession["session"], route: Route) => Promise<T>,
  ): Promise<T> {
    const { session } = this.#open;
    const wire = this.#wire(key);
    const hash = keyHash(wire);
    return this.#operate({ key, wire, hash, write, repeatable, attempt: (route) => attempt(session, route) });
  }

  #operate<T>(call: Call<T>): Promise<T> {
    return this.#lanes.run(call.wire, () => operate(this.#open.session, this.#options, call));
  }
}

function answerGet<T>(reply: Reply): T | undefined | typeof UNDECIDED {
  if (reply.status === "EN") return undefined;
  if (reply.status !== "VA" || reply.flags === PLACEHOLDER_FLAGS) return UNDECIDED;
  return decode(reply.value!, reply.flags ?? 0) as T;
}

function answerSet(reply: Reply, route: Route): true {
  mutate.expect(route, reply, "HD");
  return true;
}

function answerDelete(reply: Reply, route: Route): boolean {
  return mutate.expect(route, reply, "HD", "NF") === "HD";
}

function answerCount(reply: Reply, route: Route): string | undefined | typeof UNDECIDED {
  const status = mutate.expect(route, reply, "VA", "NF", "CLIENT_ERROR");
  if (status === "CLIENT_ERROR") return UNDECIDED;
  return status === "NF" ? undefined : reply.value!.toString("latin1").trim();
}

function failure(code: ErrorCode, message: string, key: string): RingshiftError {
  return new RingshiftError(code, message, { key });
}

function isIterable(value: object): value is Iterable<readonly [string, unknown]> {
  return Symbol.iterator in value;
}

/** Waits for all of them, then throws the first failure: nothing of a multi form is left running behind its answer. */
async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(promises);
  return outcomes.map((outcome) => {
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  });
}
