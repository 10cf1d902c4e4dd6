/**
 * What connections of both protocols share: flushes in flight, the time they may take, and how they are settled. A connection is never repaired:
 * whatever goes wrong ends it and fails the flushes in flight, and the link makes a new one. Replies therefore cannot reach anyone but
 * the flush that asked.
 *
 *     begin(flush) ──► in flight, oldest first ──reply, reply, ...──► complete ──► settle, in order
 *                              └──────────── destroy: all fail, as sent
 *
 * One timer serves connecting and all flushes: it looks at the oldest flush only.
 */
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "./access.ts";
import { type Address, formatAddress } from "./address.ts";
import type { Command, ConnectionRef, FenceReading, Reply } from "./exchange.ts";
import { readFence } from "./fence.ts";
import { Fifo } from "./fifo.ts";
import { expireAll, type Flush, failAll, NO_REPLIES, settleSafely, takeReply } from "./flush.ts";
import type { Carrier } from "./link-options.ts";
import { ExchangeError } from "./transport.ts";

/** No further flush is written while the socket holds more than this: what is not handed over yet can still fail unsent. */
export const MAX_SOCKET_BACKLOG_BYTES = 1024 * 1024;

/** What to connect to, and how long to wait. */
export interface ConnectionTarget {
  readonly name: string;
  readonly address: Address;
  readonly access: ServerAccess;
  readonly connectTimeoutMs: number;
  /** From the write of a flush to its last reply. */
  readonly timeoutMs: number;
}

export interface ConnectionHooks {
  onOpen(connection: Carrier): void;
  /** The socket takes flushes again. */
  onDrain(connection: Carrier): void;
  /** Once, before the flushes in flight are failed. */
  onClosed(connection: Carrier, error: RingshiftError): void;
}

type MutableRef = { -readonly [Field in keyof ConnectionRef]: ConnectionRef[Field] };

export abstract class FlushCarrier implements Carrier {
  protected readonly target: ConnectionTarget;
  protected readonly hooks: ConnectionHooks;
  readonly #ref: MutableRef;
  readonly #flushes = new Fifo<Flush>();
  #inFlight = 0;
  #fence: FenceReading | undefined;
  #productive = false;
  #finishing = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param id no two connections of a process have the same
   * @param hint for who waits in vain for the connection
   */
  constructor(target: ConnectionTarget, hooks: ConnectionHooks, id: number, hint = "") {
    this.target = target;
    this.hooks = hooks;
    this.#ref = { id, incarnation: undefined };
    this.#timer = setTimeout(
      () => this.fail("NODE_DOWN", `no connection within ${target.connectTimeoutMs} ms${hint}`),
      target.connectTimeoutMs,
    );
  }

  abstract get writable(): boolean;
  abstract write(flush: Flush): void;
  /** Ends the socket; nothing is answered from then on. Once. */
  protected abstract cut(error: RingshiftError): void;

  get ref(): ConnectionRef {
    return this.#ref;
  }

  /** Commands that were written and not answered, tails included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** True once anything was answered: this is a server, not just a port. */
  get productive(): boolean {
    return this.#productive;
  }

  /** Takes no further flush, and closes when the ones in flight are answered or have timed out. */
  finish(error: RingshiftError): void {
    this.#finishing = true;
    if (this.#flushes.length === 0) this.destroy(error);
  }

  /** Closes now; what is in flight fails with `error`, as sent. */
  destroy(error: RingshiftError): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.cut(error);
    this.#inFlight = 0;
    const lost = this.#flushes.drain();
    this.hooks.onClosed(this, error);
    if (lost.length === 0) return;
    const failure = new ExchangeError(error, true);
    for (const flush of lost) failAll(flush.items, failure);
  }

  /** Has every exchange in flight look at its caller's time. @returns the earliest end of it, in monotonic ms; Infinity: none */
  expire(nowMs: number): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const { items } of this.#flushes) earliest = Math.min(earliest, expireAll(items, nowMs, true));
    return earliest;
  }

  /** Neither closed nor closing. */
  protected get takesFlushes(): boolean {
    return !this.#closed && !this.#finishing;
  }

  protected get closed(): boolean {
    return this.#closed;
  }

  /** Whose reply comes next. */
  protected get oldest(): Flush | undefined {
    return this.#flushes.peek();
  }

  protected opened(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.hooks.onOpen(this);
  }

  /** The server has answered, if only a greeting. */
  protected answered(): void {
    this.#productive = true;
  }

  /** The flush goes out now. Every exchange in it is settled exactly once from here on. */
  protected begin(flush: Flush): void {
    flush.deadlineMs = performance.now() + this.target.timeoutMs;
    this.#flushes.push(flush);
    this.#inFlight += flush.commands;
    this.#timer ??= setTimeout(() => this.#onTimer(), this.target.timeoutMs);
  }

  /** The next reply to the oldest flush. True when it was the last one: its exchanges have been settled. */
  protected take(flush: Flush, reply: Reply): boolean {
    this.#productive = true;
    this.#inFlight--;
    if (!takeReply(flush, reply)) return false;
    this.#flushes.shift();
    this.#complete(flush, reply);
    if (this.#finishing && this.#flushes.length === 0) this.fail("CLOSED", "the connection was closed");
    return true;
  }

  protected fail(code: RingshiftError["code"], what: string, cause?: unknown): void {
    if (!this.#closed) this.destroy(this.error(code, what, cause));
  }

  protected error(code: RingshiftError["code"], what: string, cause?: unknown): RingshiftError {
    const { name, address } = this.target;
    return new RingshiftError(code, `${name} (${formatAddress(address)}): ${what}`, { node: name, cause });
  }

  /** @param last the reply to the tail, where the flush has one. */
  #complete(flush: Flush, last: Reply): void {
    const refusal = flush.tail === undefined ? undefined : this.#readTail(last, flush.tail);
    if (refusal !== undefined) {
      failAll(flush.items, new ExchangeError(refusal, true));
      return;
    }
    for (const item of flush.items) {
      const { replies } = item;
      item.replies = NO_REPLIES;
      settleSafely(item, undefined, { replies, fence: this.#fence, connection: this.#ref });
    }
  }

  /** Without a readable fence nothing in the flush is validated, so it must not look like a server that has none. */
  #readTail(reply: Reply, tail: Command): RingshiftError | undefined {
    if (reply.text !== undefined && reply.text === this.#fence?.text) return undefined; // as the last one, nearly always
    if (tail.line === "mn" && reply.status === "MN") return undefined;
    if (reply.status !== "VA" && reply.status !== "EN") {
      return this.error(codeOf(reply), `the get of the fence was answered ${reply.status} ${reply.message}`.trimEnd());
    }
    this.#fence = readFence(reply, this.#fence);
    this.#ref.incarnation = this.#fence?.number === undefined ? undefined : this.#fence.incarnation;
    return undefined;
  }

  #onTimer(): void {
    this.#timer = undefined;
    const flush = this.#flushes.peek();
    if (flush === undefined) return;
    const leftMs = flush.deadlineMs - performance.now();
    if (leftMs > 0) {
      this.#timer = setTimeout(() => this.#onTimer(), Math.ceil(leftMs));
      return;
    }
    // After a stall of this process the replies may lie in the socket unread: they get one round of the event loop.
    setImmediate(() => {
      if (this.#closed) return;
      if (this.#flushes.peek() !== flush) this.#onTimer();
      else this.fail("TIMEOUT", `no answer within ${this.target.timeoutMs} ms`);
    });
  }
}

function codeOf({ status }: Reply): RingshiftError["code"] {
  if (status === "ERROR") return "META_REQUIRED";
  return status === "SERVER_ERROR" ? "SERVER_ERROR" : "PROTOCOL_ERROR";
}
