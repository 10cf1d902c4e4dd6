/**
 * One TCP connection to a Memcached server, from `connect` to its end, in the meta protocol.
 *
 *     write(flush) --> socket --> server --> socket --> parser --> oldest flush in flight (flush-carrier.ts)
 */
import type { Socket } from "node:net";
import { openSocket } from "./access.ts";
import type { Reply } from "./exchange.ts";
import { encodeFlush, encodeRecords, type Flush, nextItem } from "./flush.ts";
import {
  type ConnectionHooks,
  type ConnectionTarget,
  FlushCarrier,
  MAX_SOCKET_BACKLOG_BYTES,
} from "./flush-carrier.ts";
import { ReplyParser } from "./parser.ts";
import { MAX_RECORD_BYTES, RecordWriter } from "./record-writer.ts";

const KEEP_ALIVE_MS = 30_000;
/** What one flush counts for in the mean size of replies: a change of load is seen after some of them. */
const NEWS = 1 / 4;

let lastId = 0;

export class Connection extends FlushCarrier {
  readonly #socket: Socket;
  /** Over TLS. */
  readonly #records: RecordWriter | undefined;
  readonly #parser: ReplyParser;
  /** Bytes that have come since the last flush was complete. */
  #received = 0;
  #replyBytes = 0;

  constructor(target: ConnectionTarget, hooks: ConnectionHooks) {
    super(target, hooks, ++lastId);
    this.#parser = new ReplyParser(
      (reply) => this.#onReply(reply),
      (flags) => this.#wantsText(flags),
    );
    const onBytes = (length: number, buffer: Buffer) => this.#onBytes(length, buffer);
    this.#socket = openSocket(target.address, target.access, () => this.opened(), onBytes);
    this.#records = target.access.tls ? new RecordWriter(this.#socket) : undefined;
    this.#socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#socket.on("drain", () => hooks.onDrain(this));
    this.#socket.on("error", (error) => this.fail("NODE_DOWN", describe(error), error));
    this.#socket.on("end", () => this.fail("NODE_DOWN", "the server closed the connection"));
    this.#socket.on("close", () => this.fail("NODE_DOWN", "the connection was closed"));
  }

  /** Running mean of the bytes of one reply. */
  get replyBytes(): number {
    return this.#replyBytes;
  }

  get writable(): boolean {
    const waiting = this.#records?.bytes ?? this.#socket.writableLength;
    return this.takesFlushes && waiting < MAX_SOCKET_BACKLOG_BYTES;
  }

  write(flush: Flush): void {
    this.begin(flush);
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

  protected cut(): void {
    this.#parser.stop();
    this.#socket.destroy();
  }

  #onBytes(length: number, buffer: Buffer): void {
    this.#received += length;
    try {
      this.#parser.push(buffer, length);
    } catch (error) {
      this.fail("PROTOCOL_ERROR", describe(error), error);
    }
  }

  #wantsText(flags: number): boolean {
    const flush = this.oldest;
    if (flush === undefined) return false;
    const item = nextItem(flush);
    return item === undefined || (item.asText?.(flags) ?? false); // no item: the fence
  }

  #onReply(reply: Reply): void {
    const flush = this.oldest;
    if (flush === undefined) {
      this.fail(
        "PROTOCOL_ERROR",
        `the server sent a reply that nothing asked for: ${reply.status} ${reply.message.slice(0, 100)}`,
      );
      return;
    }
    if (!this.take(flush, reply)) return;
    this.#replyBytes += (this.#received / flush.commands - this.#replyBytes) * NEWS;
    this.#received = 0;
  }
}

/** Node's AggregateError, for a name with several addresses, has an empty message. */
function describe(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describe).join("; ");
  if (error instanceof Error) return error.message !== "" ? error.message : error.name;
  return String(error);
}
