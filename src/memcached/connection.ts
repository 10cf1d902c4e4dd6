/**
 * One TCP connection to a Memcached server, from `connect` to its end. It is never repaired: whatever goes wrong destroys the socket and
 * fails the flushes in flight, and the link makes a new connection. Replies therefore cannot reach anyone but the flush that asked.
 *
 *     write(flush) --> socket --> server --> socket --> parser --> oldest flush in flight --> settle, in order, when it is complete
 *
 * One timer serves connecting and all flushes: it looks at the oldest flush only.
 */
import type { Socket } from "node:net";
import { RingshiftError } from "../errors.ts";
import { openSocket, type ServerAccess } from "./access.ts";
import { type Address, formatAddress } from "./address.ts";
import type { Command, ConnectionRef, Exchanged, FenceReading, Reply } from "./exchange.ts";
import { readFence } from "./fence.ts";
import { Fifo } from "./fifo.ts";
import { encodeFlush, encodeRecords, type Flush, NO_REPLIES, nextItem, type Pending, takeReply } from "./flush.ts";
import type { Carrier } from "./link-options.ts";
import { ReplyParser } from "./parser.ts";
import { MAX_RECORD_BYTES, RecordWriter } from "./record-writer.ts";
import { ExchangeError } from "./transport.ts";

/** No further flush is written while the socket holds more than this: what is not handed over yet can still fail unsent. */
export const MAX_SOCKET_BACKLOG_BYTES = 1024 * 1024;
const KEEP_ALIVE_MS = 30_000;
/** What one flush counts for in the mean size of replies: a change of load is seen after some of them. */
const NEWS = 1 / 4;

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

let lastId = 0;

export class Connection implements Carrier {
  readonly #target: ConnectionTarget;
  readonly #hooks: ConnectionHooks;
  readonly #ref: MutableRef = { id: ++lastId, incarnation: undefined };
  readonly #socket: Socket;
  /** Over TLS. */
  readonly #records: RecordWriter | undefined;
  readonly #parser: ReplyParser;
  readonly #flushes = new Fifo<Flush>();
  #inFlight = 0;
  /** Bytes that have come since the last flush was complete. */
  #received = 0;
  #replyBytes = 0;
  #fence: FenceReading | undefined;
  #productive = false;
  #finishing = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(target: ConnectionTarget, hooks: ConnectionHooks) {
    this.#target = target;
    this.#hooks = hooks;
    this.#parser = new ReplyParser(
      (reply) => this.#onReply(reply),
      (flags) => this.#wantsText(flags),
    );
    const onOpen = () => {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      hooks.onOpen(this);
    };
    const onBytes = (length: number, buffer: Buffer) => this.#onBytes(length, buffer);
    this.#socket = openSocket(target.address, target.access, onOpen, onBytes);
    this.#records = target.access.tls ? new RecordWriter(this.#socket) : undefined;
    this.#socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#timer = setTimeout(
      () => this.#fail("NODE_DOWN", `no connection within ${target.connectTimeoutMs} ms`),
      target.connectTimeoutMs,
    );
    this.#socket.on("drain", () => hooks.onDrain(this));
    this.#socket.on("error", (error) => this.#fail("NODE_DOWN", describe(error), error));
    this.#socket.on("end", () => this.#fail("NODE_DOWN", "the server closed the connection"));
    this.#socket.on("close", () => this.#fail("NODE_DOWN", "the connection was closed"));
  }

  get ref(): ConnectionRef {
    return this.#ref;
  }

  /** Commands that were written and not answered, tails included. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** True once anything was answered: this is a server, not just a port. */
  get productive(): boolean {
    return this.#productive;
  }

  get writable(): boolean {
    const waiting = this.#records?.bytes ?? this.#socket.writableLength;
    return !this.#closed && !this.#finishing && waiting < MAX_SOCKET_BACKLOG_BYTES;
  }

  /** Hands a flush to the socket. Every exchange in it is settled exactly once from here on. */
  write(flush: Flush): void {
    flush.deadlineMs = performance.now() + this.#target.timeoutMs;
    this.#flushes.push(flush);
    this.#inFlight += flush.commands;
    this.#timer ??= setTimeout(() => this.#onTimer(), this.#target.timeoutMs);
    if (this.#records !== undefined) {
      this.#records.write(encodeRecords(flush, MAX_RECORD_BYTES));
      return;
    }
    const pieces = encodeFlush(flush);
    if (pieces.length === 1) {
      this.#socket.write(pieces[0] as string, "latin1");
      return;
    }
    this.#socket.cork();
    for (const piece of pieces) {
      if (typeof piece === "string") this.#socket.write(piece, "latin1");
      else this.#socket.write(piece);
    }
    this.#socket.uncork();
  }

  /** What is written until `uncork` goes in one system call, or few. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
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
    this.#parser.stop();
    this.#socket.destroy();
    this.#inFlight = 0;
    const lost = this.#flushes.drain();
    this.#hooks.onClosed(this, error);
    if (lost.length === 0) return;
    const failure = new ExchangeError(error, true);
    for (const flush of lost) failAll(flush.items, failure);
  }

  #onBytes(length: number, buffer: Buffer): void {
    this.#received += length;
    try {
      this.#parser.push(buffer, length);
    } catch (error) {
      this.#fail("PROTOCOL_ERROR", describe(error), error);
    }
  }

  #wantsText(flags: number): boolean {
    const flush = this.#flushes.peek();
    if (flush === undefined) return false;
    const item = nextItem(flush);
    return item === undefined || (item.asText?.(flags) ?? false); // no item: the fence
  }

  #onReply(reply: Reply): void {
    const flush = this.#flushes.peek();
    if (flush === undefined) {
      this.#fail(
        "PROTOCOL_ERROR",
        `the server sent a reply that nothing asked for: ${reply.status} ${reply.message.slice(0, 100)}`,
      );
      return;
    }
    this.#productive = true;
    this.#inFlight--;
    if (!takeReply(flush, reply)) return;
    this.#flushes.shift();
    this.#replyBytes += (this.#received / flush.commands - this.#replyBytes) * NEWS;
    this.#received = 0;
    this.#complete(flush, reply);
    if (this.#finishing && this.#flushes.length === 0) this.#fail("CLOSED", "the connection was closed");
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
      const code =
        reply.status === "ERROR"
          ? "META_REQUIRED"
          : reply.status === "SERVER_ERROR"
            ? "SERVER_ERROR"
            : "PROTOCOL_ERROR";
      return this.#error(code, `the get of the fence was answered ${reply.status} ${reply.message}`.trimEnd());
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
      else this.#fail("TIMEOUT", `no answer within ${this.#target.timeoutMs} ms`);
    });
  }

  #fail(code: "NODE_DOWN" | "TIMEOUT" | "PROTOCOL_ERROR" | "CLOSED", what: string, cause?: unknown): void {
    if (!this.#closed) this.destroy(this.#error(code, what, cause));
  }

  #error(code: RingshiftError["code"], what: string, cause?: unknown): RingshiftError {
    const { name, address } = this.#target;
    return new RingshiftError(code, `${name} (${formatAddress(address)}): ${what}`, { node: name, cause });
  }
}

export function failAll(items: readonly Pending[], failure: ExchangeError): void {
  for (const item of items) settleSafely(item, failure, undefined);
}

/** A callback that throws must not keep the others from being told. Its error surfaces as uncaught, as a timer's would. */
export function settleSafely(item: Pending, failure: ExchangeError | undefined, result: Exchanged | undefined): void {
  try {
    item.settle(failure, result);
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}

/** Node's AggregateError, for a name with several addresses, has an empty message. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  if (error instanceof Error) return error.message !== "" ? error.message : error.name;
  return String(error);
}
