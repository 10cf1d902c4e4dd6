/**
 * One connection over memjs to a server that speaks the binary protocol: what `Connection` is for the meta protocol, so the link above it
 * does not know the difference.
 *
 *     write(flush) ─ translate ─► requests, get of the fence ─ memjs ─► server ─ memjs ─► replies ─► settle, when the flush is complete
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Credentials } from "../memcached/access.ts";
import { formatAddress } from "../memcached/address.ts";
import { type ConnectionHooks, type ConnectionTarget, failAll, settleSafely } from "../memcached/connection.ts";
import type { ConnectionRef, FenceReading, Reply } from "../memcached/exchange.ts";
import { readFence } from "../memcached/fence.ts";
import { Fifo } from "../memcached/fifo.ts";
import { type Flush, newFlush, type Pending, takeReply } from "../memcached/flush.ts";
import type { Carrier } from "../memcached/link-options.ts";
import { ExchangeError } from "../memcached/transport.ts";
import { MemjsServer } from "./memjs-server.ts";
import { type Translated, translate } from "./translate.ts";
import { isAuthFailure } from "./wire.ts";

/** No further flush is written while the socket holds more than this. */
const MAX_SOCKET_BACKLOG_BYTES = 1024 * 1024;

/** Below zero: no connection of the meta protocol has such a number. */
let lastId = 0;

export class BinaryConnection implements Carrier {
  readonly #target: ConnectionTarget;
  readonly #hooks: ConnectionHooks;
  readonly #ref: { -readonly [Field in keyof ConnectionRef]: ConnectionRef[Field] } = {
    id: --lastId,
    incarnation: undefined,
  };
  readonly #server: MemjsServer;
  readonly #flushes = new Fifo<Flush>();
  #inFlight = 0;
  #fence: FenceReading | undefined;
  #productive = false;
  #finishing = false;
  #closed = false;
  /** Of connecting and greeting, then of the oldest flush. */
  #timer: NodeJS.Timeout | undefined;

  constructor(target: ConnectionTarget, hooks: ConnectionHooks, auth: Credentials | undefined) {
    this.#target = target;
    this.#hooks = hooks;
    this.#timer = setTimeout(
      () => this.#fail("NODE_DOWN", `no connection within ${target.connectTimeoutMs} ms; does it speak binary?`),
      target.connectTimeoutMs,
    );
    this.#server = new MemjsServer(target.address, auth, target, {
      onOpen: () => {
        clearTimeout(this.#timer);
        this.#timer = undefined;
        this.#productive = true;
        hooks.onOpen(this);
      },
      onDrain: () => hooks.onDrain(this),
      onEnd: (cause) => this.#onEnd(cause),
    });
  }

  get ref(): ConnectionRef {
    return this.#ref;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get productive(): boolean {
    return this.#productive;
  }

  get writable(): boolean {
    return !this.#closed && !this.#finishing && this.#server.backlog < MAX_SOCKET_BACKLOG_BYTES;
  }

  write(flush: Flush): void {
    const work = translateAll(flush);
    if (work === undefined) {
      const rest = this.#withoutUnspeakable(flush);
      if (rest !== undefined) this.write(rest);
      return;
    }
    flush.deadlineMs = performance.now() + this.#target.timeoutMs;
    this.#flushes.push(flush);
    this.#inFlight += flush.commands;
    this.#timer ??= setTimeout(() => this.#onTimer(), this.#target.timeoutMs);
    const blobs = work.map(({ request, read }) => {
      return this.#server.prepare(request, (response) => this.#onReply(flush, read(response)));
    });
    this.#server.write(blobs.length === 1 ? blobs[0]! : Buffer.concat(blobs));
  }

  finish(error: RingshiftError): void {
    this.#finishing = true;
    if (this.#flushes.length === 0) this.destroy(error);
  }

  destroy(error: RingshiftError): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#server.destroy(error);
    this.#inFlight = 0;
    const lost = this.#flushes.drain();
    this.#hooks.onClosed(this, error);
    if (lost.length === 0) return;
    const failure = new ExchangeError(error, true);
    for (const flush of lost) failAll(flush.items, failure);
  }

  /** Exchanges with a command that has no binary form fail unsent. Undefined: nothing is left. */
  #withoutUnspeakable(flush: Flush): Flush | undefined {
    const speakable = (item: Pending) => item.commands.every((command) => translate(command) !== undefined);
    if (flush.items.every(speakable)) return flush;
    const { name } = this.#target;
    const error = new RingshiftError(
      "NOT_SUPPORTED",
      `${name}: the binary protocol cannot do this; see the table in docs/commands.md.`,
      { node: name },
    );
    const failed = flush.items.filter((item) => !speakable(item));
    failAll(failed, new ExchangeError(error, false));
    const rest = flush.items.filter(speakable);
    return rest.length === 0 ? undefined : newFlush(rest, flush.tail);
  }

  #onReply(flush: Flush, reply: Reply): void {
    if (this.#flushes.peek() !== flush) throw new Error("a response came out of its turn");
    this.#inFlight--;
    if (!takeReply(flush, reply)) return;
    this.#flushes.shift();
    this.#complete(flush, reply);
    if (this.#finishing && this.#flushes.length === 0) this.#fail("CLOSED", "the connection was closed");
  }

  /** @param last the reply to the tail, where the flush has one */
  #complete(flush: Flush, last: Reply): void {
    if (flush.tail !== undefined && last.status !== "MN") {
      if (last.status !== "VA" && last.status !== "EN") {
        const text = `the get of the fence was answered ${last.status} ${last.message}`.trimEnd();
        failAll(flush.items, new ExchangeError(this.#error("SERVER_ERROR", text), true));
        return;
      }
      this.#fence = readFence(last, this.#fence);
      this.#ref.incarnation = this.#fence?.number === undefined ? undefined : this.#fence.incarnation;
    }
    for (const item of flush.items) {
      settleSafely(item, undefined, { replies: item.replies, fence: this.#fence, connection: this.#ref });
    }
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
    // After a stall of this process the responses may lie in the socket unread: they get one round of the event loop.
    setImmediate(() => {
      if (this.#closed) return;
      if (this.#flushes.peek() !== flush) this.#onTimer();
      else this.#fail("TIMEOUT", `no answer within ${this.#target.timeoutMs} ms`);
    });
  }

  #onEnd(cause: unknown): void {
    if (this.#closed) return;
    if (isRingshiftError(cause)) this.destroy(cause);
    else if (isAuthFailure(cause))
      this.destroy(this.#error("AUTH_FAILED", "username and password were refused", cause));
    else this.#fail("NODE_DOWN", cause instanceof Error ? cause.message || cause.name : String(cause), cause);
  }

  #fail(code: RingshiftError["code"], what: string, cause?: unknown): void {
    if (!this.#closed) this.destroy(this.#error(code, what, cause));
  }

  #error(code: RingshiftError["code"], what: string, cause?: unknown): RingshiftError {
    const { name, address } = this.#target;
    return new RingshiftError(code, `${name} (${formatAddress(address)}): ${what}`, { node: name, cause });
  }
}

/** The requests of a flush, its tail's last. Undefined: some command has no binary form. */
function translateAll({ items, tail }: Flush): Translated[] | undefined {
  const work: Translated[] = [];
  for (const { commands } of tail === undefined ? items : [...items, { commands: [tail] }]) {
    for (const command of commands) {
      const translated = translate(command);
      if (translated === undefined) return undefined;
      work.push(translated);
    }
  }
  return work;
}
