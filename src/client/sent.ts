/**
 * A call on its way, on the direct way (direct.ts): from the link's queue to its answer, or to the end of its caller's time.
 *
 *   enqueue ─► flush ─► settle ─┬─ the fence stands, the replies decide ─► answered
 *      │         │              └─ else ─► DirectWay.operate, from the replies on
 *      └─────────┴─ expire: its time is up ─► given up; what settles it later is for nobody
 */
import type { Command, Exchanged, Reply } from "../memcached/exchange.ts";
import { bytesOf, NO_REPLIES, type Pending } from "../memcached/flush.ts";
import type { ExchangeError } from "../memcached/transport.ts";
import { Ambiguous } from "../protocol/outcome.ts";
import type { Route } from "../protocol/view.ts";
import type { DirectWay } from "./direct.ts";
import type { Call } from "./operate.ts";

/** A reply that does not decide the operation: the full rule has to look. It proves that a write had no effect. */
export const UNDECIDED: unique symbol = Symbol("undecided");

/** What the replies mean. @throws RingshiftError as the full rule would, Ambiguous */
export type Answer<T> = (replies: readonly Reply[], route: Route, call: Call<T>) => T | typeof UNDECIDED;

/** A call that has its replies; it was entered under its route's view. */
export interface Decidable<T> {
  readonly route: Route;
  readonly call: Call<T>;
  readonly decide: Answer<T>;
  /** Its lane keeps its place; else it is among the calls sent at once. */
  readonly inLane: boolean;
}

/** A call on its way. One object that the link takes as it is: no closure, no copy. */
export class Sent<T> implements Pending, Decidable<T> {
  readonly commands: readonly Command[];
  readonly on = undefined;
  readonly bytes: number;
  replies = NO_REPLIES;
  readonly asText: ((flags: number) => boolean) | undefined;
  readonly route: Route;
  readonly call: Call<T>;
  readonly decide: Answer<T>;
  readonly way: DirectWay;
  readonly inLane: boolean;
  /** Not to be sent through the gate that is open because Redis does not answer. */
  readonly fresh: boolean;
  resolve!: (answer: T | Promise<T>) => void;
  reject!: (error: unknown) => void;
  /** Its caller's time was up: what comes of it is for nobody. */
  expired = false;

  constructor(
    way: DirectWay,
    route: Route,
    call: Call<T>,
    commands: readonly Command[],
    decide: Answer<T>,
    asText: ((flags: number) => boolean) | undefined,
    inLane: boolean,
    fresh: boolean,
  ) {
    this.commands = commands;
    this.bytes = bytesOf(commands);
    this.asText = asText;
    this.route = route;
    this.call = call;
    this.decide = decide;
    this.way = way;
    this.inLane = inLane;
    this.fresh = fresh;
  }

  mayFlush(): boolean {
    const { way, call, fresh, route } = this;
    return !call.abandoned && way.gateOpen(route.view) && (!fresh || way.isShown(route.view));
  }

  expire(nowMs: number, sent: boolean): number {
    const { way, call, inLane, route } = this;
    if (inLane || call.abandoned) return Number.POSITIVE_INFINITY;
    const end = way.endOf(call.startedAt!);
    if (end > nowMs) return end;
    call.begun = sent;
    call.node = route.node.name;
    this.expired = true;
    way.giveUp(call).then(this.resolve, this.reject);
    return Number.POSITIVE_INFINITY;
  }

  settle(failure: ExchangeError | undefined, result: Exchanged | undefined): void {
    const { way, call, route } = this;
    if (failure === undefined && call.abandoned) {
      way.ended(call, route.view, this.inLane);
      if (!this.expired) this.resolve(undefined as T); // whoever called is deaf to it
      return;
    }
    if (failure === undefined && way.stands(route, result!)) {
      let answer: T | typeof UNDECIDED;
      try {
        answer = this.decide(result!.replies, route, call);
      } catch (error) {
        if (error instanceof Ambiguous) {
          this.#goOn(failure, result); // it ends there as any write of unknown effect
          return;
        }
        way.ended(call, route.view, this.inLane);
        this.reject(error);
        return;
      }
      if (answer !== UNDECIDED) {
        way.ended(call, route.view, this.inLane);
        this.resolve(answer);
        return;
      }
    }
    this.#goOn(failure, result);
  }

  #goOn(failure: ExchangeError | undefined, result: Exchanged | undefined): void {
    const answer = this.way.operate(this, failure, result);
    if (this.expired) answer.catch(ignore);
    else this.resolve(answer);
  }
}

function ignore(): void {}

let waiting: Sent<unknown>;

/** A function for all promises instead of a closure each: the executor runs at once, inside the constructor. */
function executor(resolve: (answer: unknown) => void, reject: (error: unknown) => void): void {
  waiting.resolve = resolve;
  waiting.reject = reject;
}

/** The answer to what is sent. */
export function promiseOf<T>(sent: Sent<T>): Promise<T> {
  waiting = sent as Sent<unknown>;
  return new Promise(executor) as Promise<T>;
}
