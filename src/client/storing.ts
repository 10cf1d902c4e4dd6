/**
 * `set` on the direct way, for keys that are listed in the index and for new ones. A new key's entry has to be acknowledged by Redis before
 * its write is sent (docs/protocol.md, Recording); by the full rules that is a lane, an attempt, two timers and a dozen promises a call.
 *
 *   known      ─────────────────────────────────────────► DirectWay
 *   new key    ─► recorder (with all others of the turn) ─┬─► the view's id: DirectWay, the write only
 *                 └─ time is up: rejected, nothing sent   └─► else: `operate`, from there on
 *
 * The key is held (lanes.ts) from the call on, so what is called for it later waits. Measured at 64 in flight on a busy machine: sets of new
 * keys cost 13 µs of CPU each, 19 by the full rules.
 */
import { isRingshiftError } from "../errors.ts";
import { metaSet } from "../memcached/commands.ts";
import type { Command, Reply } from "../memcached/exchange.ts";
import { Fifo } from "../memcached/fifo.ts";
import { expect } from "../protocol/attempt.ts";
import { Retry } from "../protocol/outcome.ts";
import { blockOf, type Item } from "../protocol/store.ts";
import type { Route } from "../protocol/view.ts";
import { late } from "./bound.ts";
import type { Core } from "./core.ts";
import type { Call } from "./operate.ts";
import { promiseOf, Sent } from "./sent.ts";

export class Storing {
  readonly #core: Core;
  /** Sets that wait for Redis, oldest first; those that have been answered leave when they come to the head. */
  readonly #waiting = new Fifo<Listing>();
  #timer: NodeJS.Timeout | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** @throws RingshiftError as `set` */
  send(call: Call<true>, item: Item): Promise<true> {
    const core = this.#core;
    const { direct, lanes } = core;
    if (lanes.busy(call.wire, call.hash, true)) {
      const ready = (route: Route) => this.#fits(route, item) && this.#known(route) && direct.isShown(route.view);
      return direct.wait(call, [commandOf(call, item)], answerSet, undefined, ready, true);
    }
    const route = core.directRoute(call);
    if (route === undefined || !this.#fits(route, item)) return core.operate(call);
    const shown = direct.isShown(route.view);
    if (shown && this.#known(route)) {
      return direct.send(route, call, [commandOf(call, item)], answerSet, undefined, true);
    }
    if (!shown || core.session.redisDown) return core.operate(call);
    const listing = new Listing(core, route, call, [commandOf(call, item)]);
    const answered = promiseOf(listing);
    this.#list(listing);
    return answered;
  }

  /** Small enough to be sent unasked. */
  #fits({ node, key }: Route, item: Item): boolean {
    return this.#core.session.limits?.fits(node, key.length, blockOf(item).length) ?? true;
  }

  /** Listed in the index, or need not be. */
  #known({ view, key, hash }: Route): boolean {
    return view.unfenced || this.#core.session.recorder.knows(key, hash);
  }

  #list(listing: Listing): void {
    listing.begin();
    const waiting = this.#waiting;
    while (waiting.peek()?.answered === true) waiting.shift();
    waiting.push(listing);
    if (this.#timer === undefined) this.#watch(listing);
  }

  /** One timer for all: it looks at the oldest. */
  #watch({ call }: Listing): void {
    const leftMs = call.startedAt! + this.#core.options.timeoutMs - this.#core.session.clock.now();
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(0, leftMs));
    this.#timer.unref(); // ioredis has a timer of its own for each call
  }

  #onTimer(): void {
    this.#timer = undefined;
    const { options, session } = this.#core;
    const now = session.clock.now();
    for (let oldest = this.#waiting.peek(); oldest !== undefined; oldest = this.#waiting.peek()) {
      if (!oldest.answered) {
        if (oldest.call.startedAt! + options.timeoutMs > now) {
          this.#watch(oldest);
          return;
        }
        oldest.late();
      }
      this.#waiting.shift();
    }
  }
}

/** A set that waits for its key's entry, and is then sent. */
class Listing extends Sent<true> {
  readonly #core: Core;
  #askedAt = 0;
  /** Redis has answered, or the call is over. */
  answered = false;

  constructor(core: Core, route: Route, call: Call<true>, commands: readonly Command[]) {
    super(core.direct, route, call, commands, answerSet, undefined, false, true);
    this.#core = core;
  }

  /** @throws RingshiftError where the session refuses to go on */
  begin(): void {
    const { session, lanes } = this.#core;
    const { wire, hash } = this.call;
    session.enter();
    lanes.begin(wire, hash, true);
    this.#askedAt = session.clock.coarse?.() ?? session.clock.now();
    session.recorder.list(this.route.view, wire, this.route.point, this);
  }

  /** @param id of the document that Redis had then */
  listed(id: string | null): void {
    const { session, direct } = this.#core;
    const { view } = this.route;
    if (this.#ends()) return;
    if (id !== view.document.id) {
      this.#goOn(() => Promise.reject(new Retry()));
      return;
    }
    session.recorder.remember(session, view, this.call.wire, this.call.hash);
    try {
      direct.enqueue(this);
    } catch (error) {
      direct.ended(this.call, view);
      this.reject(error);
    }
  }

  notListed(error: unknown): void {
    const { session } = this.#core;
    if (this.#ends()) return;
    if (!isRingshiftError(error, "REDIS_UNREACHABLE")) {
      this.#goOn(() => Promise.reject(error));
    } else if (session.redisFailed(this.#askedAt)) {
      this.call.begun = true; // it is sent now, and its server marked
      this.call.node = this.route.node.name;
      this.#goOn(() => this.call.attempt(this.route));
    } else {
      this.#goOn(() => Promise.reject(new Retry(error)));
    }
  }

  /** Its time is up, and nothing of it was sent; the key stays held until Redis answers or fails. */
  late(): void {
    this.call.abandoned = true;
    this.reject(late(this.call));
  }

  /** True when the call is over already: its entry stays, without a key. */
  #ends(): boolean {
    this.answered = true;
    if (!this.call.abandoned) return false;
    this.#core.direct.ended(this.call, this.route.view);
    return true;
  }

  #goOn(attempt: () => Promise<true>): void {
    this.resolve(this.#core.direct.continue(this.call, { view: this.route.view, attempt }));
  }
}

function commandOf({ wire }: Call<true>, item: Item): Command {
  return metaSet(wire, blockOf(item), { flags: item.flags, ttl: item.exptime });
}

function answerSet(replies: readonly Reply[], route: Route): true {
  expect(route, replies[0]!, "HD");
  return true;
}
