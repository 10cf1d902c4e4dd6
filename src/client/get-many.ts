/**
 * Many gets at once on the direct way: one exchange a server and one promise for all of them, where single gets make one of each a key.
 *
 *   keys ─► wire key, hash, route ─► by server ─► exchanges of up to 63 gets ─► values in their places ─► the one promise
 *                      └─ moving in F, or busy in a lane ─► a single get ─────────┘
 *
 * What an exchange cannot decide for a key (a server that was away, a newer fence, a lease) goes on for that key alone, as the single get
 * would, from the reply on. Measured at 100 keys over 3 servers: 1.8 µs of CPU a key, single gets together 2.7.
 */
import { isRingshiftError, type RingshiftError } from "../errors.ts";
import { metaGet } from "../memcached/commands.ts";
import type { Command, Exchanged, Reply } from "../memcached/exchange.ts";
import { bytesOf, NO_REPLIES, type Pending } from "../memcached/flush.ts";
import type { NodeLink } from "../memcached/link-options.ts";
import { type ExchangeError, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { Route, View } from "../protocol/view.ts";
import type { Core } from "./core.ts";
import type { Reader } from "./reading.ts";
import { UNDECIDED } from "./sent.ts";

/** The values in the order of the keys, undefined for misses and failures; failures by key. */
export interface Many<T> {
  readonly values: readonly (T | undefined)[];
  readonly failures: Map<string, RingshiftError>;
}

/** @param strict a server that does not answer is a failure, also where the client is told to take it for a miss */
export function getMany<T>(core: Core, reader: Reader, keys: readonly string[], strict: boolean): Promise<Many<T>> {
  return new Promise((resolve, reject) => new Gathering<T>(core, reader, keys, strict, resolve, reject).send());
}

class Gathering<T> {
  readonly core: Core;
  readonly reader: Reader;
  readonly keys: readonly string[];
  readonly strict: boolean;
  readonly startedAt: number;
  readonly #values: (T | undefined)[];
  readonly #failures = new Map<string, RingshiftError>();
  readonly #resolve: (many: Many<T>) => void;
  readonly #reject: (error: unknown) => void;
  /** Keys without an answer. */
  #open: number;

  constructor(
    core: Core,
    reader: Reader,
    keys: readonly string[],
    strict: boolean,
    resolve: (many: Many<T>) => void,
    reject: (error: unknown) => void,
  ) {
    this.core = core;
    this.reader = reader;
    this.keys = keys;
    this.strict = strict;
    this.startedAt = core.session.clock.now();
    this.#values = new Array(keys.length).fill(undefined);
    this.#open = keys.length;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** Sends all. @throws RingshiftError where the session refuses to go on */
  send(): void {
    const { core, keys } = this;
    if (keys.length === 0) this.#resolve({ values: this.#values, failures: this.#failures });
    const view = core.session.enter();
    const parts: (Part<T> | undefined)[] = []; // by node index: the one that is being filled
    for (let place = 0; place < keys.length; place++) {
      try {
        const wire = core.wire(keys[place]!);
        const route = core.direct.open(wire, view.hashOf(wire), true);
        if (route === undefined) this.follow(place, this.reader.get<T>(keys[place]!, undefined, this.strict));
        else this.#add(parts, place, route);
      } catch (error) {
        this.failed(place, error);
      }
    }
    for (const part of parts) part?.send();
    core.session.leave(view);
  }

  #add(parts: (Part<T> | undefined)[], place: number, route: Route): void {
    const { index } = route.node;
    let part = parts[index];
    if (part === undefined || part.commands.length === MAX_EXCHANGE_COMMANDS) {
      const next = new Part(this, route); // throws where there is no link; the part before stays the one to fill
      part?.send();
      part = parts[index] = next;
    }
    part.add(place, route);
  }

  found(place: number, value: T | undefined): void {
    this.#values[place] = value;
    this.#answered();
  }

  failed(place: number, error: unknown): void {
    if (isRingshiftError(error)) this.#failures.set(this.keys[place]!, error);
    else this.#reject(error);
    this.#answered();
  }

  follow(place: number, single: Promise<T | undefined>): void {
    single.then(
      (value) => this.found(place, value),
      (error: unknown) => this.failed(place, error),
    );
  }

  #answered(): void {
    if (--this.#open === 0) this.#resolve({ values: this.#values, failures: this.#failures });
  }
}

/** The gets of one exchange. */
class Part<T> implements Pending {
  readonly commands: Command[] = [];
  readonly on = undefined;
  replies = NO_REPLIES;
  readonly asText: (flags: number) => boolean;
  readonly #all: Gathering<T>;
  readonly #view: View;
  readonly #link: NodeLink;
  readonly #places: number[] = [];
  readonly #routes: Route[] = [];
  bytes = 0;
  /** Its caller's time was up: he has been answered for all of its keys. */
  #expired = false;

  /** @param first a route to its server. @throws RingshiftError CLOSED, NODE_ADDRESS */
  constructor(all: Gathering<T>, first: Route) {
    this.#all = all;
    this.#view = first.view;
    this.#link = all.core.direct.link(first.node);
    this.asText = all.core.codec.readsText;
  }

  add(place: number, route: Route): void {
    this.#places.push(place);
    this.#routes.push(route);
    this.commands.push(metaGet(route.key, "v f"));
    this.#all.core.lanes.begin(route.key, route.hash, false);
  }

  send(): void {
    this.bytes = bytesOf(this.commands);
    this.#view.inFlight++; // given back by `settle`
    this.#link.enqueue(this);
    this.#all.core.direct.watch();
  }

  mayFlush(): boolean {
    return !this.#expired && this.#all.core.direct.gateOpen(this.#view);
  }

  expire(nowMs: number): number {
    const all = this.#all;
    const end = all.core.direct.endOf(all.startedAt);
    if (this.#expired) return Number.POSITIVE_INFINITY;
    if (end > nowMs) return end;
    this.#expired = true;
    for (let i = 0; i < this.#places.length; i++) {
      const place = this.#places[i]!;
      const { key, node } = this.#routes[i]!;
      const call = all.reader.call<T>(all.keys[place]!, all.strict, key);
      call.node = node.name;
      all.follow(place, all.core.direct.giveUp(call));
    }
    return Number.POSITIVE_INFINITY;
  }

  settle(failure: ExchangeError | undefined, result: Exchanged | undefined): void {
    const { core } = this.#all;
    if (this.#expired) {
      for (const { key, hash } of this.#routes) core.lanes.end(key, hash);
      core.session.leave(this.#view);
      return;
    }
    const stands = failure === undefined && core.direct.stands(this.#routes[0]!, result!);
    for (let i = 0; i < this.#places.length; i++) {
      if (!stands || !this.#decide(i, result!.replies[i]!)) this.#carryOn(i, failure, result);
    }
    core.session.leave(this.#view);
  }

  /** False when the reply does not decide. */
  #decide(i: number, reply: Reply): boolean {
    const all = this.#all;
    const place = this.#places[i]!;
    const route = this.#routes[i]!;
    let value: unknown;
    try {
      value = all.reader.answer(reply, route, all.keys[place]!);
    } catch (error) {
      all.core.lanes.end(route.key, route.hash);
      all.failed(place, error);
      return true;
    }
    if (value === UNDECIDED) return false;
    all.core.lanes.end(route.key, route.hash);
    all.found(place, value as T | undefined);
    return true;
  }

  #carryOn(i: number, failure: ExchangeError | undefined, result: Exchanged | undefined): void {
    const { core, reader, keys, strict, startedAt } = this.#all;
    const place = this.#places[i]!;
    const route = this.#routes[i]!;
    const call = reader.call<T>(keys[place]!, strict, route.key); // also after `quit`: the operation says what becomes of it
    call.startedAt = startedAt;
    this.#view.inFlight++; // the key's own part in the view, given back by its operation
    const replies = result && { ...result, replies: [result.replies[i]!] };
    const sent = { inLane: false, route, call, decide: reader.answerGet<T>() };
    this.#all.follow(place, core.direct.operate(sent, failure, replies));
  }
}
