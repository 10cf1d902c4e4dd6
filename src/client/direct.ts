/**
 * The direct way: one flush's worth of commands on a key that needs nothing first. No lane, no attempt loop, one promise; the reply is taken in
 * the link's callback when the fence stands. Whatever else happens goes on as `operate` would have it, from the reply on.
 *
 * It is for keys that are not moving, and in D for two calls that have nothing to do at the old owner as a rule: a get, whose value at the new owner
 * is the answer (rule R; whatever else it finds goes on by the full rules), and a set of a key that this process knows to have moved.
 *
 * Measured when it came in: 280,000 gets/s at 64 in flight over 3 servers with fences, 112,000 by the attempt loop (docs/performance.md has
 * the figures of today). tests/client and tests/migration run every command both ways: in S, where this one is taken, and in D.
 */
import type { Command, Exchanged } from "../memcached/exchange.ts";
import type { NodeLink } from "../memcached/link-options.ts";
import type { LinkPool } from "../memcached/pool.ts";
import type { ExchangeError } from "../memcached/transport.ts";
import { Retry } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import { HOLD_OFF_MS } from "../protocol/settle.ts";
import { fenceStands, requireAccepted, unanswered } from "../protocol/validate.ts";
import type { Route, View } from "../protocol/view.ts";
import type { NodeRecord } from "../topology/document.ts";
import { bounded, giveUp } from "./bound.ts";
import type { Lanes } from "./lanes.ts";
import { type Begun, type Call, type OperateOptions, operate } from "./operate.ts";
import { type Answer, type Decidable, promiseOf, Sent, UNDECIDED } from "./sent.ts";

export class DirectWay {
  readonly #session: Session;
  readonly #pool: LinkPool;
  readonly #lanes: Lanes;
  readonly #options: OperateOptions;
  /** By node index: the record that a link was looked up for, and the link. */
  readonly #nodes: NodeRecord[] = [];
  readonly #links: NodeLink[] = [];
  /** Looks at what is on its way when the first of it runs out of time. */
  #timer: NodeJS.Timeout | undefined;

  constructor(session: Session, pool: LinkPool, lanes: Lanes, options: OperateOptions) {
    this.#session = session;
    this.#pool = pool;
    this.#lanes = lanes;
    this.#options = options;
  }

  /**
   * The key's route when a command on it may go the direct way now.
   * @param inChange the command is a get, or a set: also in D and while a change settles
   */
  open(wire: string, hash: number, inChange = false, write = false): Route | undefined {
    if (this.#lanes.busy(wire, hash, false)) return undefined;
    const route = this.#session.view.route(wire, hash);
    return this.#takes(route, inChange, write) ? route : undefined;
  }

  #takes(route: Route, inChange: boolean, write: boolean): boolean {
    const { view, kind, moving, careful, node } = route;
    const { doubted } = this.#session;
    if (doubted.size > 0 && doubted.has(node.name)) return false;
    if (!moving && !careful) return true;
    if (!inChange || view.document.phase === "F" || view.waitsFor(route) !== undefined) return false;
    return kind === "plain" || !write;
  }

  /**
   * @param asText client flags of values that are wanted as `text`
   * @param fresh as `tell` has it
   * @throws RingshiftError as `operate`
   */
  send<T>(
    route: Route,
    call: Call<T>,
    commands: readonly Command[],
    decide: Answer<T>,
    asText?: (flags: number) => boolean,
    fresh = false,
  ): Promise<T> {
    const session = this.#session;
    const lanes = this.#lanes;
    const { wire, hash, write } = call;
    if (lanes.busy(wire, hash, write)) return this.wait(call, commands, decide, asText);
    const link = this.link(route.node);
    this.watch();
    session.enter();
    lanes.begin(wire, hash, write);
    const sent = new Sent(this, route, call, commands, decide, asText, false, fresh);
    const answered = promiseOf(sent);
    link.enqueue(sent);
    return answered;
  }

  /**
   * For a call that the direct way is not open to now: it waits in its key's lane, and goes the direct way from there if that is open then.
   * @param ready what else has to be so for that
   * @param fresh as `tell` has it
   */
  wait<T>(
    call: Call<T>,
    commands: readonly Command[],
    decide: Answer<T>,
    asText?: (flags: number) => boolean,
    ready?: (route: Route) => boolean,
    fresh = false,
  ): Promise<T> {
    const session = this.#session;
    const { wire, hash, write } = call;
    const work = async (): Promise<T> => {
      const route = session.view.route(wire, hash);
      if (!this.#takes(route, call.inChange ?? false, write) || call.abandoned || ready?.(route) === false) {
        return operate(session, this.#options, call);
      }
      const link = this.link(route.node);
      session.enter();
      call.begun = true; // from here on its time being up leaves its effect unknown
      call.node = route.node.name;
      const sent = new Sent(this, route, call, commands, decide, asText, true, fresh);
      const answered = promiseOf(sent);
      link.enqueue(sent);
      return answered;
    };
    return this.#bounded(call, this.#lanes.run(wire, hash, write, work));
  }

  /** Sends what has entered its route's view and holds its key. @throws RingshiftError CLOSED, NODE_ADDRESS */
  enqueue<T>(sent: Sent<T>): void {
    this.link(sent.route.node).enqueue(sent);
    this.watch();
  }

  /**
   * Something is sent: whoever is not answered in `timeoutMs` is told so, also where it waits behind much else, or its server may take longer for an
   * answer. One timer for all. It looks through what is on its way when the first of that runs out of time, which is next to nothing a call.
   */
  watch(): void {
    this.#timer ??= this.#lookIn(this.#options.timeoutMs);
  }

  #lookIn(ms: number): NodeJS.Timeout {
    // after a stall of this process answers may lie in sockets unread: they get one round of the event loop
    const timer = setTimeout(() => setImmediate(() => this.#look()), ms);
    timer.unref(); // sockets keep the process
    return timer;
  }

  #look(): void {
    const now = this.#session.clock.now();
    const next = this.#pool.expire(now);
    this.#timer = next === Number.POSITIVE_INFINITY ? undefined : this.#lookIn(Math.max(1, Math.ceil(next - now)));
  }

  /** Monotonic ms at which a call that began then is out of time. */
  endOf(startedAt: number): number {
    return startedAt + this.#options.timeoutMs;
  }

  /** The call's time is up. */
  giveUp<T>(call: Call<T>): Promise<T> {
    return giveUp(this.#session, this.#options, call);
  }

  /** The call is answered. */
  ended<T>({ wire, hash }: Call<T>, view: View, inLane = false): void {
    if (!inLane) this.#lanes.end(wire, hash);
    this.#session.leave(view);
  }

  /** What the direct way cannot decide goes on as an operation whose first attempt is at its replies. */
  operate<T>(sent: Decidable<T>, failure: ExchangeError | undefined, result: Exchanged | undefined): Promise<T> {
    const begun = { view: sent.route.view, attempt: () => this.#carryOn(sent, failure, result) };
    if (sent.inLane) return operate(this.#session, this.#options, sent.call, begun); // bounded, and its key held, by `wait`
    return this.continue(sent.call, begun);
  }

  /** A call that has entered a view and holds its key goes on as an operation, its first attempt being under way. */
  continue<T>(call: Call<T>, begun: Begun<T>): Promise<T> {
    const work = operate(this.#session, this.#options, call, begun).finally(() => {
      this.#lanes.end(call.wire, call.hash);
    });
    return this.#bounded(call, work);
  }

  /** Rule T for what was decided under `view`; of the present view the pool asks, once a flush. */
  gateOpen(view: View): boolean {
    return view === this.#session.view || this.#session.gateOpen(view);
  }

  isShown(view: View): boolean {
    return this.#session.isShown(view);
  }

  /** The short form of rule V. False: the full one has to look. */
  stands(route: Route, result: Exchanged): boolean {
    return fenceStands(route, result) && !(route.careful && this.#session.needsOldFence(route));
  }

  /** The link to a server. @throws RingshiftError CLOSED, NODE_ADDRESS */
  link(node: NodeRecord): NodeLink {
    const { index } = node;
    if (this.#nodes[index] !== node) {
      this.#links[index] = this.#pool.link(node);
      this.#nodes[index] = node;
    }
    return this.#links[index]!;
  }

  #bounded<T>(call: Call<T>, work: Promise<T>): Promise<T> {
    return bounded(this.#session, this.#options, call, work);
  }

  /** The attempt, from its replies on. */
  async #carryOn<T>(
    { route, call, decide }: Decidable<T>,
    failure: ExchangeError | undefined,
    result: Exchanged | undefined,
  ): Promise<T> {
    call.begun = failure === undefined || failure.sent; // an answer that does not count yet leaves its effect unknown
    call.node = route.node.name;
    if (failure !== undefined) {
      if (failure.sent && call.write) this.#session.linger(route.view, HOLD_OFF_MS); // a late read does nothing
      throw unanswered(failure, call.write);
    }
    await requireAccepted(this.#session, route, result!, call.write);
    const answer = decide(result!.replies, route, call);
    if (answer !== UNDECIDED) return answer;
    if (call.abandoned) throw new Retry(); // its caller was told that nothing is written
    call.begun = true;
    return call.attempt(route, result);
  }
}
