/**
 * The client: routes every command to the server that owns its key, and keeps doing so while the ring changes. What the commands share is
 * core.ts; here are their contracts.
 */
import type { RingshiftError } from "../errors.ts";
import * as given from "./call-options.ts";
import { CALL, COUNT, FLUSH, GET_OR_SET, MULTI, type Names, NONE, WRITE } from "./call-options.ts";
import { type ClientSettings, Core } from "./core.ts";
import { type ClientEvents, traceBatch, traceCommand, tracesCommands } from "./events.ts";
import { GetOrSet, type Load } from "./get-or-set.ts";
import { locate } from "./locate.ts";
import * as multi from "./multi.ts";
import type { OperateOptions } from "./operate.ts";
import { Reader } from "./reading.ts";
import { Running } from "./running.ts";
import * as servers from "./servers.ts";
import type { OpenSession } from "./session.ts";
import type {
  BigintCount,
  CallOptions,
  CasToken,
  ClusterState,
  CountOptions,
  GetOrSetOptions,
  ItemMeta,
  Location,
  Metrics,
  MultiOptions,
  NodeState,
  NoList,
  NumberCount,
  Versioned,
  WriteOptions,
} from "./types.ts";
import { Writer } from "./writing.ts";

export type * from "./types.ts";

type List<K> = () => readonly K[];
type Run<T, K> = (list: readonly K[]) => Promise<T>;

export class Client {
  readonly #core: Core;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #getOrSet: GetOrSet;
  readonly #calls: Record<string, number> = {};
  #quitting: Promise<void> | undefined;

  /** Use `createClient`. */
  constructor(open: OpenSession, options: OperateOptions, settings: ClientSettings = {}) {
    this.#core = new Core(open, options, settings);
    this.#reader = new Reader(this.#core);
    const running = new Running(this.#core);
    this.#writer = new Writer(this.#core, this.#reader, running);
    this.#getOrSet = new GetOrSet(this.#core, running);
  }

  /** The value, or undefined on a miss. @throws RingshiftError */
  get<T = unknown>(key: string, options?: CallOptions): Promise<T | undefined> {
    if (options !== undefined || tracesCommands()) {
      return this.#command("get", key, options, CALL, () => this.#reader.get<T>(key, options));
    }
    this.#calls.get = (this.#calls.get ?? 0) + 1; // as `#command` does, without its closure: this is the one that counts
    try {
      return this.#reader.get<T>(key);
    } catch (error) {
      return Promise.reject(error as RingshiftError);
    }
  }

  /** The value and a token for `cas`, or undefined on a miss. @throws RingshiftError */
  gets<T = unknown>(key: string, options?: CallOptions): Promise<Versioned<T> | undefined> {
    return this.#command("gets", key, options, CALL, () => this.#reader.gets<T>(key, options));
  }

  /**
   * The values that are there, by key; misses are left out.
   * @throws RingshiftError when a key could not be read, with all of those in its `failed`; with `failed` given they go there instead
   */
  getMulti<T = unknown>(keys: Iterable<string>, options: MultiOptions = NONE): Promise<Map<string, T>> {
    const list = () => given.keysOf("getMulti", keys);
    const run = (all: readonly string[]) => multi.getMulti<T>(this.#core, this.#reader, all, options);
    return this.#batch("getMulti", list, options, MULTI, run);
  }

  /** The value, given a new TTL in seconds (0: never expires); undefined on a miss. @throws RingshiftError */
  gat<T = unknown>(key: string, ttl: number, options?: CallOptions): Promise<T | undefined> {
    return this.#command("gat", key, options, CALL, () => this.#reader.getAndTouch<T>(key, ttl, options));
  }

  /** What its server knows of the item, without counting as a read of it; undefined on a miss. @throws RingshiftError */
  getMeta(key: string, options?: CallOptions): Promise<ItemMeta | undefined> {
    return this.#command("getMeta", key, options, CALL, () => this.#reader.meta(key, options));
  }

  /**
   * The value; where there is none, what `load` answers, stored for `ttl` seconds (0: for ever). One `load` at a time per key in the whole
   * cluster: other callers wait for it, up to the client's timeout. A value is not stored when the key was written or deleted while it was
   * loaded, nor when its server cannot be reached, nor when it is undefined; the caller gets it all the same. What `load` throws rejects the call
   * and frees the key; a process that dies frees it within 5 seconds. Callers in one process share one call: who joined one whose value was not
   * stored is answered by another, and who calls after a write of this process joins none from before it.
   * @throws RingshiftError, TIMEOUT when another caller loads for longer than the client's timeout; and what `load` throws
   */
  getOrSet<T>(key: string, ttl: number, load: Load<T>, options: GetOrSetOptions = NONE): Promise<T> {
    return this.#command("getOrSet", key, options, GET_OR_SET, () => this.#getOrSet.run(key, ttl, load, options));
  }

  /** Stores the value. @throws RingshiftError, AMBIGUOUS_WRITE when the effect is unknown */
  set(key: string, value: unknown, options: WriteOptions = NONE): Promise<true> {
    return this.#command("set", key, options, WRITE, () => this.#writer.set(key, value, options));
  }

  /**
   * Stores all entries, each as `set` does. All are checked before any is sent.
   * @throws RingshiftError the first failure, with all of them in its `failed`; the other entries have been tried all the same
   */
  setMulti(entries: Iterable<readonly [string, unknown]>, options?: WriteOptions): Promise<true>;
  setMulti<T extends object>(entries: T & NoList<T>, options?: WriteOptions): Promise<true>;
  setMulti(entries: object | Iterable<readonly [string, unknown]>, options: WriteOptions = NONE): Promise<true> {
    const list = () => multi.entriesOf(entries);
    return this.#batch("setMulti", list, options, WRITE, (all) => multi.setMulti(this.#writer, all, options));
  }

  /** Stores the value where none is; false when there is one. @throws RingshiftError */
  add(key: string, value: unknown, options: WriteOptions = NONE): Promise<boolean> {
    return this.#command("add", key, options, WRITE, () => this.#writer.add(key, value, options));
  }

  /** Stores the value where one is; false when there is none. @throws RingshiftError */
  replace(key: string, value: unknown, options: WriteOptions = NONE): Promise<boolean> {
    return this.#command("replace", key, options, WRITE, () => this.#writer.replace(key, value, options));
  }

  /** Puts text (as UTF-8) or bytes behind a value, which keeps its flags and TTL; false on a miss. @throws RingshiftError VALUE_TOO_LARGE */
  append(key: string, data: string | Uint8Array, options: CallOptions = NONE): Promise<boolean> {
    return this.#command("append", key, options, CALL, () => this.#writer.extend(key, data, "A", options));
  }

  /** Puts text (as UTF-8) or bytes before a value, which keeps its flags and TTL; false on a miss. @throws RingshiftError VALUE_TOO_LARGE */
  prepend(key: string, data: string | Uint8Array, options: CallOptions = NONE): Promise<boolean> {
    return this.#command("prepend", key, options, CALL, () => this.#writer.extend(key, data, "P", options));
  }

  /** Stores the value if the item is still the one that `gets` gave the token for; else false. @throws RingshiftError */
  cas(key: string, value: unknown, token: CasToken, options: WriteOptions = NONE): Promise<boolean> {
    return this.#command("cas", key, options, WRITE, () => this.#writer.cas(key, value, token, options));
  }

  /** True when there was a value to delete. @throws RingshiftError */
  delete(key: string, options: CallOptions = NONE): Promise<boolean> {
    return this.#command("delete", key, options, CALL, () => this.#writer.remove(key, options));
  }

  /** As `delete`. */
  del(key: string, options?: CallOptions): Promise<boolean> {
    return this.delete(key, options);
  }

  /**
   * Deletes all keys; by key, whether there was a value.
   * @throws RingshiftError the first failure, with all of them in its `failed`; the other keys have been tried
   */
  deleteMulti(keys: Iterable<string>, options: MultiOptions = NONE): Promise<Map<string, boolean>> {
    const list = () => given.keysOf("deleteMulti", keys);
    return this.#batch("deleteMulti", list, options, MULTI, (all) => multi.deleteMulti(this.#writer, all, options));
  }

  /**
   * Adds to a decimal value (64 bits, wraps round); the new value, or undefined on a miss. With `initial` a miss stores and answers that.
   * @throws RingshiftError NOT_NUMERIC
   */
  incr(key: string, delta: number | bigint, options: BigintCount): Promise<bigint | undefined>;
  incr(key: string, delta?: number | bigint, options?: NumberCount): Promise<number | undefined>;
  incr(key: string, delta: number | bigint, options: CountOptions): Promise<number | bigint | undefined>;
  incr(key: string, delta: number | bigint = 1, options: CountOptions = NONE): Promise<number | bigint | undefined> {
    return this.#command("incr", key, options, COUNT, () => this.#writer.count(key, delta, false, options));
  }

  /** Subtracts from a decimal value, not below 0; else as `incr`. @throws RingshiftError NOT_NUMERIC */
  decr(key: string, delta: number | bigint, options: BigintCount): Promise<bigint | undefined>;
  decr(key: string, delta?: number | bigint, options?: NumberCount): Promise<number | undefined>;
  decr(key: string, delta: number | bigint, options: CountOptions): Promise<number | bigint | undefined>;
  decr(key: string, delta: number | bigint = 1, options: CountOptions = NONE): Promise<number | bigint | undefined> {
    return this.#command("decr", key, options, COUNT, () => this.#writer.count(key, delta, true, options));
  }

  /** As `incr`. */
  increment: Client["incr"] = ((key: string, delta?: number, options?: CountOptions) =>
    this.incr(key, delta, options as { bigint?: false })) as Client["incr"];

  /** As `decr`. */
  decrement: Client["decr"] = ((key: string, delta?: number, options?: CountOptions) =>
    this.decr(key, delta, options as { bigint?: false })) as Client["decr"];

  /** Gives the item a new TTL in seconds (0: never expires); false on a miss. @throws RingshiftError */
  touch(key: string, ttl: number, options: CallOptions = NONE): Promise<boolean> {
    return this.#command("touch", key, options, CALL, () => this.#writer.touch(key, ttl, options));
  }

  /** Deletes the keys of this cluster, see `FlushOptions`; how many. @throws RingshiftError */
  flush(options: servers.FlushOptions = NONE): Promise<number> {
    return this.#batch(
      "flush",
      () => [],
      options,
      FLUSH,
      () => servers.flush(this.#core, options),
    );
  }

  /** What `stats`, or `stats <what>`, says, by node. @throws RingshiftError when a server does not answer */
  stats(what = ""): Promise<Record<string, Record<string, string>>> {
    return servers.stats(this.#core, what);
  }

  /** The servers' versions, by node. @throws RingshiftError when a server does not answer */
  version(): Promise<Record<string, string>> {
    return servers.version(this.#core);
  }

  /** Where the key lives now. @throws RingshiftError INVALID_KEY */
  locate(key: string): Location {
    return locate(this.#core, key);
  }

  /** Epoch, phase and nodes as this client routes by them. */
  topology(): ClusterState {
    return this.#core.state();
  }

  /** What this client and the protocol in it did, in numbers that only grow. */
  metrics(): Metrics {
    const { counters, session } = this.#core;
    return { ...session.counters, ...counters };
  }

  /** Calls by command; a multi form is one call. */
  commandCounts(): Readonly<Record<string, number>> {
    return { ...this.#calls };
  }

  /** How the servers that this client has talked to are, by node. */
  nodeStates(): Readonly<Record<string, NodeState>> {
    return this.#core.open.pool.states();
  }

  /** Calls back for an event, see `ClientEvents`. @throws RingshiftError INVALID_OPTION for an event that there is not */
  on<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this {
    this.#core.events.on(given.checkEvent(event), listener as never);
    return this;
  }

  /** As `on`, the next time only. */
  once<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this {
    this.#core.events.once(given.checkEvent(event), listener as never);
    return this;
  }

  off<E extends keyof ClientEvents>(event: E, listener: (...args: ClientEvents[E]) => void): this {
    this.#core.events.off(given.checkEvent(event), listener as never);
    return this;
  }

  /** Ends the client: what is in flight is answered or times out, later calls reject with CLOSED. A second call is the first one. */
  quit(): Promise<void> {
    this.#core.closed = true;
    this.#quitting ??= this.#core.open.close();
    return this.#quitting;
  }

  /** Counted, traced, and rejecting where the call itself throws. */
  #command<T>(name: string, key: string, options: object | undefined, known: Names, run: () => Promise<T>): Promise<T> {
    this.#calls[name] = (this.#calls[name] ?? 0) + 1;
    try {
      given.checkCall(name, options, known, key);
      return traceCommand(name, key, run);
    } catch (error) {
      return Promise.reject(error as RingshiftError);
    }
  }

  async #batch<T, K>(name: string, list: List<K>, options: object, known: Names, run: Run<T, K>): Promise<T> {
    this.#calls[name] = (this.#calls[name] ?? 0) + 1;
    given.checkCall(name, options, known);
    const all = list();
    if (all.length === 0) this.#core.requireOpen(); // there is no key to say it for
    return traceBatch(name, all.length, () => run(all));
  }
}
