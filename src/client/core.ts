/**
 * What the commands of one client share: the session, the ways a call can go, keys and values on their way to the wire, counters, events.
 *
 *   call ─► wire key, hash ─┬─► DirectWay: nothing moves, nothing to do first ─► one flush, one promise
 *                           └─► lane ─► operate (attempts, rule V) ─► read.ts, mutate.ts (rules R, M, P) ─► transport
 */
import { createHash } from "node:crypto";
import type { DiscoveryWatch } from "../discovery/watch.ts";
import { isRingshiftError, RingshiftError, shown } from "../errors.ts";
import { exptimeOf } from "../memcached/commands.ts";
import type { Reply } from "../memcached/exchange.ts";
import { keyFits, MAX_BINARY_KEY_BYTES, toWireKey } from "../memcached/key.ts";
import { isAscii, TextBlock } from "../memcached/text-block.ts";
import type { Session } from "../protocol/session.ts";
import type { Item } from "../protocol/store.ts";
import type { Route } from "../protocol/view.ts";
import { abortable, bounded } from "./bound.ts";
import { Codec, FLAG_TEXT } from "./codec.ts";
import { DirectWay } from "./direct.ts";
import { Announcer } from "./events.ts";
import { Lanes } from "./lanes.ts";
import { type Call, type OperateOptions, operate } from "./operate.ts";
import type { OpenSession } from "./session.ts";
import type { ClusterState, WriteOptions } from "./types.ts";

/** What a client is told beside how to operate. */
export interface ClientSettings {
  readonly codec?: Codec | undefined;
  /** Keys that are too long go as their sha256. */
  readonly hashLongKeys?: boolean | undefined;
  /** Keys may hold blanks and control characters. */
  readonly binaryKeys?: boolean | undefined;
  /** Slots of the table of calls under way (lanes.ts), for a client with few calls at a time. */
  readonly laneSlots?: number | undefined;
  /** Looks where the servers are named; started with the client, stopped by whoever made it. */
  readonly discovery?: DiscoveryWatch | undefined;
}

/** Long keys: the prefix, this, and 64 hexadecimal digits. */
const LONG_KEY_PREFIX = "sha256-";
const LONE_SURROGATE = /\p{Surrogate}/u;

export class Core {
  readonly open: OpenSession;
  readonly session: Session;
  readonly options: OperateOptions;
  readonly codec: Codec;
  readonly lanes: Lanes;
  readonly direct: DirectWay;
  readonly events = new Announcer();
  readonly counters = { hits: 0, misses: 0, loads: 0, loadsDiscarded: 0 };
  closed = false;
  readonly #prefix: string;
  readonly #hashLongKeys: boolean;
  readonly #binaryKeys: boolean;

  constructor(open: OpenSession, options: OperateOptions, settings: ClientSettings) {
    this.open = open;
    this.session = open.session;
    this.options = { ...options, onAway: (key) => this.sawRead(key, false) };
    this.codec = settings.codec ?? new Codec();
    this.lanes = new Lanes(settings.laneSlots);
    this.direct = new DirectWay(open.session, open.pool, this.lanes, this.options);
    this.#prefix = open.session.namespace.keyPrefix;
    this.#hashLongKeys = settings.hashLongKeys ?? false;
    this.#binaryKeys = settings.binaryKeys ?? false;
    this.#watch();
    settings.discovery?.start((event) => this.events.discovery(event));
    const { health } = open;
    if (health === undefined) return;
    health.onDown = ({ name }, error) => this.events.nodeDown({ node: name, error });
    health.onUp = ({ name }) => this.events.nodeUp({ node: name });
  }

  /** @throws RingshiftError CLOSED */
  requireOpen(key?: string): void {
    if (this.closed) throw new RingshiftError("CLOSED", "The client was closed by quit().", { key });
  }

  /** The key as it goes over the wire. @throws RingshiftError CLOSED, INVALID_KEY */
  wire(key: string): string {
    this.requireOpen(key);
    const prefix = this.#prefix;
    const binary = this.#binaryKeys;
    const short =
      !this.#hashLongKeys || typeof key !== "string" || key.length * 4 <= MAX_BINARY_KEY_BYTES - prefix.length;
    if (short || keyFits(prefix, key, binary) || LONE_SURROGATE.test(key)) return toWireKey(prefix, key, binary);
    return toWireKey(prefix, LONG_KEY_PREFIX + createHash("sha256").update(key, "utf8").digest("hex"));
  }

  /** A new call on the key. @throws RingshiftError CLOSED, INVALID_KEY */
  call<T>(key: string, write: boolean, repeatable: boolean, attempt: (route: Route) => Promise<T>): Call<T> {
    return this.wireCall(this.wire(key), write, repeatable, attempt, key);
  }

  /** A new call on a key that is known as it goes over the wire only. */
  wireCall<T>(
    wire: string,
    write: boolean,
    repeatable: boolean,
    attempt: (route: Route) => Promise<T>,
    key = wire,
  ): Call<T> {
    return {
      key,
      wire,
      hash: this.session.view.hashOf(wire),
      write,
      repeatable,
      attempt,
      startedAt: this.session.clock.coarse?.() ?? this.session.clock.now(),
      strict: false,
      inChange: false,
      counts: false,
      begun: false,
      node: undefined,
      abandoned: false,
    };
  }

  /** The route, when the call may go the direct way now. */
  directRoute<T>(call: Call<T>): Route | undefined {
    return this.direct.open(call.wire, call.hash, call.inChange, call.write);
  }

  /** Through the key's lane and the full rules. */
  operate<T>(call: Call<T>): Promise<T> {
    const work = this.lanes.run(call.wire, call.hash, call.write, () => operate(this.session, this.options, call));
    return bounded(this.session, this.options, call, work);
  }

  /** As `operate`, ended by the signal. */
  run<T>(
    key: string,
    signal: AbortSignal | undefined,
    write: boolean,
    repeatable: boolean,
    attempt: (route: Route) => Promise<T>,
  ): Promise<T> {
    const call = this.call(key, write, repeatable, attempt);
    return abortable(signal, call, () => this.operate(call));
  }

  /** @throws RingshiftError INVALID_VALUE, INVALID_TTL, INVALID_OPTION */
  item(key: string, value: unknown, options: Pick<WriteOptions, "ttl" | "compress">): Item {
    if (typeof value === "string" && this.codec.keepsText(options.compress) && isAscii(value)) {
      return new TextItem(value, this.exptime(key, options.ttl ?? 0));
    }
    const { data, flags } = this.codec.encode(value, key, options.compress);
    return { data, text: undefined, flags, exptime: this.exptime(key, options.ttl ?? 0) };
  }

  /** @throws RingshiftError INVALID_TTL */
  exptime(key: string, ttl: number): number {
    if (typeof ttl !== "number" || !Number.isFinite(ttl) || ttl < 0) {
      throw new RingshiftError("INVALID_TTL", `The TTL is a number of seconds, 0 or more, not ${shown(ttl)}.`, { key });
    }
    return ttl === 0 ? 0 : exptimeOf(ttl, this.session.clock.epochSeconds());
  }

  /** @throws RingshiftError PROTOCOL_ERROR, with key and node, when the bytes are not what the flags say */
  read({ text, value, flags = 0 }: Reply, key: string, node: string): unknown {
    try {
      return text === undefined ? this.codec.decode(value!, flags) : this.codec.decodeText(text, flags);
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      throw new RingshiftError(error.code, error.message, { key, node, cause: error.cause });
    }
  }

  /** Counts a read, and tells who listens. */
  sawRead(key: string, found: boolean): void {
    if (found) this.counters.hits++;
    else this.counters.misses++;
    if (this.events.hears) this.events.read(key, found);
  }

  state(): ClusterState {
    const { epoch, phase, nodes } = this.session.view.document;
    return { epoch, phase, nodes: nodes.map(({ name, address, index }) => ({ name, address, index })) };
  }

  /** Follows the session's views. */
  #watch(): void {
    const { session } = this;
    const before = session.onView;
    session.onView = (view, old) => {
      before(view, old);
      this.events.topology(this.state());
      const { phase, epoch, migrations } = view.document;
      if (phase === "D" && old.document.phase !== "D") this.events.migration({ state: "begun", epoch });
      if (migrations > old.document.migrations) this.events.migration({ state: "ended", epoch });
    };
  }
}

/** What `Codec.encode` makes of ASCII text. */
class TextItem extends TextBlock implements Item {
  readonly flags = FLAG_TEXT;
  readonly exptime: number;

  constructor(text: string, exptime: number) {
    super(text);
    this.exptime = exptime;
  }
}
