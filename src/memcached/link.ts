/**
 * The link to one Memcached server: a queue in front of at most one connection, reconnecting by itself.
 *
 *     submit --> queue --(end of turn)--> flush --> connection --> settle
 *
 *     idle --submit--> opening --connected, handshake done--> ready
 *      ^                  | failed                              | broken
 *      |                  v                                     |
 *      |               backoff --a submit after its end--> opening
 *      +---- the connection had answered something -------------+      (else: backoff)
 *
 * With `health`, a server is down after so many failures (standing.ts): submits fail at once, and the end of a back-off opens by itself. A
 * server that was down, or is suspect, first answers a probe and has `onRejoin` done on its connection, which is still `opening` then.
 *
 * Everything that one tick submits leaves in as few flushes as the limits allow. Flushes are pipelined. What was not handed to a socket
 * when a connection breaks goes over the next one, if that comes about at once; what was fails as sent.
 */
import type { RingshiftError } from "../errors.ts";
import { parseAddress } from "./address.ts";
import { MAX_FLUSH_COMMANDS, metaGet } from "./commands.ts";
import { Connection } from "./connection.ts";
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";
import { Fifo } from "./fifo.ts";
import {
  commandsFor,
  expireAll,
  failAll,
  mayGo,
  newFlush,
  newPending,
  type Pending,
  packFlush,
  type Settle,
  settled,
  sift,
} from "./flush.ts";
import type { ConnectionHooks, ConnectionTarget } from "./flush-carrier.ts";
import { greet, handshakesOf, readmit } from "./handshake.ts";
import type { Carrier, LinkOptions, NodeLink } from "./link-options.ts";
import { refuseInBatches } from "./refuse-in-batches.ts";
import { Standing } from "./standing.ts";
import type { ExchangeError } from "./transport.ts";
import { Unsent } from "./unsent.ts";

export type { FirstWords, Handshake, Health, LinkOptions, NodeLink } from "./link-options.ts";

type State =
  | { readonly kind: "idle" }
  | { readonly kind: "opening"; readonly connection: Carrier }
  | { readonly kind: "ready"; readonly connection: Carrier }
  | { readonly kind: "backoff"; readonly untilMs: number; readonly failure: ExchangeError }
  | { readonly kind: "closed"; readonly connection: Carrier | undefined };

export class Link implements NodeLink {
  readonly name: string;
  readonly #options: LinkOptions;
  readonly #target: ConnectionTarget;
  readonly #queueLimit: number;
  readonly #fence: Command | undefined;
  readonly #queue = new Fifo<Pending>();
  readonly #hooks: ConnectionHooks;
  readonly #run = (): void => this.#advance();
  #scheduled = false;
  /** Commands in the queue. */
  #waiting = 0;
  readonly #standing: Standing;
  readonly #unsent: Unsent;
  #state: State = { kind: "idle" };
  readonly #refuseLater = refuseInBatches();
  #closing: Promise<void> | undefined;
  #onceClosed: (() => void) | undefined;

  /** Opens nothing yet: the first exchange does. @throws RingshiftError NODE_ADDRESS */
  constructor(options: LinkOptions) {
    this.name = options.name;
    this.#options = options;
    this.#target = {
      name: options.name,
      address: parseAddress(options.address),
      access: options.access ?? {},
      connectTimeoutMs: options.connectTimeoutMs ?? 1000,
      timeoutMs: options.timeoutMs ?? 1000,
    };
    this.#queueLimit = options.queueLimit ?? 100_000;
    this.#fence = options.fenceKey === undefined ? undefined : metaGet(options.fenceKey, "v");
    this.#unsent = new Unsent(options.name);
    this.#standing = new Standing(options.health, options.random ?? Math.random);
    this.#hooks = {
      onOpen: (connection) => this.#onOpen(connection),
      onDrain: () => this.#advance(),
      onClosed: (connection, error) => this.#onClosed(connection, error),
    };
  }

  /** The connection that exchanges go over now, for `on`. */
  get connection(): ConnectionRef | undefined {
    return this.#state.kind === "ready" ? this.#state.connection.ref : undefined;
  }

  /** Commands handed to the socket and not answered, fence gets included. */
  get inFlight(): number {
    const state = this.#state;
    if (state.kind === "ready") return state.connection.inFlight; // the way of every command
    return state.kind === "opening" || state.kind === "closed" ? (state.connection?.inFlight ?? 0) : 0;
  }

  /** The server does not answer; what is submitted fails at once. */
  get down(): boolean {
    if (this.#options.health !== undefined) return this.#standing.down;
    return this.#state.kind === "backoff" && performance.now() < this.#state.untilMs;
  }

  /** Has `onRejoin` done before anything else is sent; what is submitted meanwhile waits. */
  suspect(): void {
    if (!this.#standing.doubt()) return;
    const state = this.#state;
    if (state.kind !== "ready") return; // the next connection
    this.#state = { kind: "opening", connection: state.connection };
    this.#admit(state.connection);
  }

  /** Ends a back-off now: there is news that the server is there. What is submitted waits for that attempt, also if the server was down. */
  retry(): void {
    if (this.#state.kind !== "backoff" && this.#state.kind !== "opening") return;
    this.#standing.retry();
    if (this.#state.kind === "opening") return;
    this.#standing.stopProbe();
    this.#open();
  }

  /** Commands waiting to be handed to a socket. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Sends the commands in order in one flush. Data blocks must not change before `settle` is called, which happens exactly once and
   * never from inside this call. No commands at all is a reading of the fence alone.
   * @param on only over exactly this connection, else unsent.
   * @param mayFlush rule T for this exchange, besides the link's own; asked right before the flush is handed to the socket.
   */
  submit(commands: readonly Command[], on: ConnectionRef | undefined, settle: Settle, mayFlush?: () => boolean): void {
    this.enqueue(newPending(commands, on, settle, mayFlush));
  }

  /** As `submit`, for who has made the queue's entry himself. */
  enqueue(item: Pending): void {
    const refusal = this.#refuse(item.commands, item.on);
    if (refusal !== undefined) {
      this.#refuseLater(item, refusal);
      return;
    }
    this.#queue.push(item);
    this.#waiting += item.commands.length;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#run);
  }

  /** `submit` as a promise. @throws ExchangeError */
  exchange(commands: readonly Command[], on?: ConnectionRef, mayFlush?: () => boolean): Promise<Exchanged> {
    return settled((settle) => this.submit(commands, on, settle, mayFlush));
  }

  expire(nowMs: number): number {
    const waiting = expireAll(this.#queue, nowMs, false);
    const connection = "connection" in this.#state ? this.#state.connection : undefined;
    return Math.min(waiting, connection?.expire(nowMs) ?? Number.POSITIVE_INFINITY);
  }

  /** What is queued fails CLOSED, what is in flight is answered or times out; resolves when the socket is gone. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#onceClosed = resolve;
      const state = this.#state;
      this.#standing.stopProbe();
      const connection = state.kind === "opening" || state.kind === "ready" ? state.connection : undefined;
      this.#state = { kind: "closed", connection };
      const failure = this.#unsent.closed();
      this.#failQueue(failure);
      if (connection === undefined) resolve();
      else if (state.kind === "ready") connection.finish(failure.error);
      else connection.destroy(failure.error);
    });
    return this.#closing;
  }

  /** Why an exchange cannot even be queued. */
  #refuse(commands: readonly Command[], on: ConnectionRef | undefined): ExchangeError | undefined {
    const state = this.#state;
    if (state.kind === "closed") return this.#unsent.closed();
    const down = this.#standing.refusal;
    if (down !== undefined) return down;
    if (state.kind === "backoff" && performance.now() < state.untilMs) return state.failure;
    if (on !== undefined && this.connection?.id !== on.id) return this.#unsent.gone();
    if (commands.length >= MAX_FLUSH_COMMANDS) {
      return this.#unsent.because(
        "INVALID_OPTION",
        `an exchange has at most ${MAX_FLUSH_COMMANDS - 1} commands, not ${commands.length}`,
      );
    }
    if (this.#waiting + this.inFlight + commands.length > this.#queueLimit || this.#queue.length >= this.#queueLimit) {
      return this.#unsent.because("QUEUE_FULL", `${this.#queueLimit} commands are waiting already`);
    }
    return undefined;
  }

  #advance(): void {
    this.#scheduled = false;
    const state = this.#state;
    switch (state.kind) {
      case "idle":
      case "backoff":
        if (this.#queue.length > 0) this.#open();
        return;
      case "ready":
        this.#pump(state.connection);
        return;
      case "opening":
      case "closed":
        return;
    }
  }

  #open(): void {
    const connection = this.#options.connect?.(this.#target, this.#hooks) ?? new Connection(this.#target, this.#hooks);
    this.#state = { kind: "opening", connection };
  }

  #onOpen(connection: Carrier): void {
    const opening = () => this.#state.kind === "opening";
    greet(connection, handshakesOf(this.#options), opening, () => this.#admit(connection));
  }

  #admit(connection: Carrier): void {
    if (this.#standing.good) {
      this.#onReady(connection);
      return;
    }
    const stands = () => this.#state.kind === "opening" && this.#state.connection === connection;
    const rejoin = () => (this.#standing.suspect ? this.#options.health?.onRejoin : undefined);
    const admitted = () => {
      if (!stands()) return;
      this.#standing.trust();
      this.#onReady(connection);
    };
    readmit(connection, this.#fence, rejoin).then(admitted, (error: unknown) => {
      if (stands()) connection.destroy(this.#unsent.error("NODE_DOWN", `not let in again: ${String(error)}`, error));
    });
  }

  #onReady(connection: Carrier): void {
    this.#state = { kind: "ready", connection };
    this.#standing.up();
    this.#options.onUp?.();
    this.#advance();
  }

  #pump(connection: Carrier): void {
    const { mayFlush } = this.#options;
    const most = commandsFor(connection.replyBytes ?? 0);
    const several = this.#waiting >= most; // then they share a system call
    if (several) connection.cork?.();
    while (this.#queue.length > 0 && connection.writable) {
      const flush = packFlush(this.#queue, this.#fence, most);
      this.#waiting -= flush.tail === undefined ? flush.commands : flush.commands - 1;
      if (mayFlush !== undefined && !mayFlush()) {
        failAll(flush.items, this.#unsent.late());
      } else if (mayGo(flush, connection.ref)) {
        connection.write(flush);
      } else {
        const { fit, stray, late } = sift(flush, connection.ref);
        failAll(stray, this.#unsent.gone());
        failAll(late, this.#unsent.late());
        if (fit.length > 0) connection.write(newFlush(fit, this.#fence));
      }
    }
    if (several) connection.uncork?.();
  }

  #onClosed(connection: Carrier, error: RingshiftError): void {
    const state = this.#state;
    this.#standing.attemptEnded();
    if (state.kind === "closed") {
      this.#onceClosed?.();
      return;
    }
    if (state.kind === "ready" && connection.productive) {
      this.#standing.served();
      this.#state = { kind: "idle" };
    } else {
      const failure = this.#unsent.withoutServer(error, state.kind === "opening");
      const waitMs = this.#standing.failed();
      this.#state = { kind: "backoff", untilMs: performance.now() + waitMs, failure };
      this.#failQueue(failure);
      this.#standing.check(failure, waitMs, () => this.#open());
    }
    this.#options.onDown?.(error);
    this.#advance();
  }

  #failQueue(failure: ExchangeError): void {
    this.#waiting = 0;
    const items = this.#queue.drain();
    if (items.length > 0) process.nextTick(failAll, items, failure);
  }
}
