/**
 * What goes out in one piece: exchanges packed up to the limits of a flush, and the tail that ends it.
 *
 *     | exchange | exchange | ... | tail |      tail = mg <fence> v   (a cluster client: rule V)
 *      c1 c2 c3   c1               |             mn   (only where the exchanges have no command at all)
 *                                  |             nothing   (a plain client, a handshake)
 *
 * Replies come back in the same order; `takeReply` deals them out. The exchanges are settled by the connection, when the last is there.
 */
import { MAX_FLUSH_BYTES, MAX_FLUSH_COMMANDS } from "./commands.ts";
import type { Command, ConnectionRef, Exchanged, Reply } from "./exchange.ts";
import type { Fifo } from "./fifo.ts";
import type { ExchangeError } from "./transport.ts";

/** Told exactly once, never from inside `submit`: a failure, or a result. */
export type Settle = (failure: ExchangeError | undefined, result: Exchanged | undefined) => void;

/** One submitted exchange. */
export interface Pending {
  readonly commands: readonly Command[];
  readonly on: ConnectionRef | undefined;
  readonly settle: Settle;
  /** Rule T, for the view that this was decided under. */
  readonly mayFlush: (() => boolean) | undefined;
  /** Bytes of its commands on the wire. */
  readonly bytes: number;
  readonly replies: Reply[];
}

export interface Flush {
  readonly items: readonly Pending[];
  readonly tail: Command | undefined;
  /** Commands, the tail included. */
  readonly commands: number;
  /** Replies still to come. */
  missing: number;
  /** Index of the item whose reply comes next. */
  cursor: number;
  /** When the last reply must be there, on the connection's clock. */
  deadlineMs: number;
}

/** Data blocks from here on are handed to the socket as they are; smaller ones are cheaper as part of the text. */
const OWN_WRITE_BYTES = 2048;
const NOOP: Command = { line: "mn", data: undefined };

export function newPending(
  commands: readonly Command[],
  on: ConnectionRef | undefined,
  settle: Settle,
  mayFlush?: (() => boolean) | undefined,
): Pending {
  let bytes = 0;
  for (const command of commands) bytes += commandBytes(command);
  return { commands, on, settle, mayFlush, bytes, replies: [] };
}

/** Takes as many exchanges from the queue as one flush holds: at least one, whatever its size, and none split. */
export function packFlush(queue: Fifo<Pending>, fence: Command | undefined): Flush {
  const items: Pending[] = [];
  let commands = fence === undefined ? 0 : 1;
  let bytes = fence === undefined ? 0 : commandBytes(fence);
  for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
    commands += next.commands.length;
    bytes += next.bytes;
    if (items.length > 0 && (commands > MAX_FLUSH_COMMANDS || bytes > MAX_FLUSH_BYTES)) break;
    items.push(next);
    queue.shift();
  }
  return newFlush(items, fence);
}

export function newFlush(items: readonly Pending[], fence: Command | undefined): Flush {
  let commands = 0;
  for (const item of items) commands += item.commands.length;
  // Something must come back, or nobody knows when the flush is over.
  const tail = fence ?? (commands === 0 ? NOOP : undefined);
  if (tail !== undefined) commands++;
  return { items, tail, commands, missing: commands, cursor: 0, deadlineMs: 0 };
}

/** Deals out the next reply. True when it was the last one: of the tail, where the flush has one. */
export function takeReply(flush: Flush, reply: Reply): boolean {
  flush.missing--;
  for (let item = flush.items[flush.cursor]; item !== undefined; item = flush.items[++flush.cursor]) {
    if (item.replies.length < item.commands.length) {
      item.replies.push(reply);
      break;
    }
  }
  return flush.missing === 0;
}

/** The bytes of a flush as few pieces: latin1 text, and large data blocks uncopied between them. */
export function encodeFlush(flush: Flush): (string | Buffer)[] {
  const pieces: (string | Buffer)[] = [];
  let text = "";
  for (const item of flush.items) {
    for (const { line, data } of item.commands) {
      text += `${line}\r\n`;
      if (data === undefined) continue;
      if (data.length < OWN_WRITE_BYTES) {
        text += `${data.toString("latin1")}\r\n`;
      } else {
        pieces.push(text, data);
        text = "\r\n";
      }
    }
  }
  if (flush.tail !== undefined) text += `${flush.tail.line}\r\n`;
  pieces.push(text);
  return pieces;
}

/** The bytes of a flush in pieces that each end with a command, for `RecordWriter`. */
export function encodeRecords(flush: Flush, maxBytes: number): Buffer[] {
  const pieces: Buffer[] = [];
  let text = "";
  const commands = flush.items.flatMap((item) => item.commands);
  for (const { line, data } of flush.tail === undefined ? commands : [...commands, flush.tail]) {
    const bytes = line.length + 2 + (data === undefined ? 0 : data.length + 2);
    if (text.length > 0 && text.length + bytes > maxBytes) {
      pieces.push(Buffer.from(text, "latin1"));
      text = "";
    }
    if (bytes > maxBytes)
      pieces.push(Buffer.concat([Buffer.from(`${line}\r\n`, "latin1"), data!, Buffer.from("\r\n")]));
    else text += data === undefined ? `${line}\r\n` : `${line}\r\n${data.toString("latin1")}\r\n`;
  }
  if (text.length > 0) pieces.push(Buffer.from(text, "latin1"));
  return pieces;
}

function commandBytes({ line, data }: Command): number {
  return data === undefined ? line.length + 2 : line.length + data.length + 4;
}
