/**
 * What goes out in one piece: exchanges packed up to the limits of a flush, and the tail that ends it.
 *
 *     | exchange | exchange | ... | tail |      tail = mg <fence> v   (a cluster client: rule V)
 *      c1 c2 c3   c1               |             mn   (only where the exchanges have no command at all)
 *                                  |             nothing   (a plain client, a handshake)
 *
 * Replies come back in the same order; `takeReply` deals them out. The exchanges are settled by the connection, when the last is there.
 */
import { MAX_FLUSH_BYTES, MAX_FLUSH_COMMANDS, MAX_FLUSH_REPLY_BYTES } from "./commands.ts";
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
  /** In the order of the commands, as they come. */
  replies: Reply[];
  /** Values with these client flags are wanted as text. Undefined: none. */
  readonly asText: ((flags: number) => boolean) | undefined;
  /**
   * Looks at its caller's time, and answers him if it is up; `settle` is called all the same, when it is. Absent: somebody else keeps it.
   * @param sent it was handed to a socket
   * @returns monotonic ms at which that time is up, Infinity once he is answered
   */
  readonly expire?: (nowMs: number, sent: boolean) => number;
}

/** As each of them does. @returns the earliest that any of them names */
export function expireAll(items: Iterable<Pending>, nowMs: number, sent: boolean): number {
  let earliest = Number.POSITIVE_INFINITY;
  for (const item of items) if (item.expire !== undefined) earliest = Math.min(earliest, item.expire(nowMs, sent));
  return earliest;
}

export interface Flush {
  readonly items: readonly Pending[];
  readonly tail: Command | undefined;
  /** Commands, the tail included. */
  readonly commands: number;
  /** Some of the items may be sent over one connection only, or have a gate of their own. */
  readonly guarded: boolean;
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
  return { commands, on, settle, mayFlush, bytes: bytesOf(commands), replies: NO_REPLIES, asText: undefined };
}

/** What `Pending.replies` begins as. Never pushed to: the first reply makes an array, so that a lone one has no room for seventeen. */
export const NO_REPLIES: Reply[] = [];

/** What a submit settles with, as a promise. @throws ExchangeError */
export function settled(submit: (settle: Settle) => void): Promise<Exchanged> {
  return new Promise((resolve, reject) => {
    submit((failure, result) => (failure === undefined ? resolve(result!) : reject(failure)));
  });
}

/** What commands take on the wire. */
export function bytesOf(commands: readonly Command[]): number {
  let bytes = 0;
  for (let i = 0; i < commands.length; i++) bytes += commandBytes(commands[i]!);
  return bytes;
}

/** How many commands a flush takes when replies are of this size. */
export function commandsFor(replyBytes: number): number {
  if (replyBytes * MAX_FLUSH_COMMANDS <= MAX_FLUSH_REPLY_BYTES) return MAX_FLUSH_COMMANDS;
  return Math.max(1, Math.floor(MAX_FLUSH_REPLY_BYTES / replyBytes));
}

/**
 * Takes as many exchanges from the queue as one flush holds: at least one, whatever its size, and none split.
 * @param most commands, the get of the fence included
 */
export function packFlush(queue: Fifo<Pending>, fence: Command | undefined, most = MAX_FLUSH_COMMANDS): Flush {
  const items: Pending[] = [];
  let commands = fence === undefined ? 0 : 1;
  let bytes = fence === undefined ? 0 : commandBytes(fence);
  for (let next = queue.peek(); next !== undefined; next = queue.peek()) {
    commands += next.commands.length;
    bytes += next.bytes;
    if (items.length > 0 && (commands > most || bytes > MAX_FLUSH_BYTES)) break;
    items.push(next);
    queue.shift();
  }
  return newFlush(items, fence);
}

export function newFlush(items: readonly Pending[], fence: Command | undefined): Flush {
  let commands = 0;
  let guarded = false;
  for (let i = 0; i < items.length; i++) {
    const item = items[i]!;
    commands += item.commands.length;
    guarded ||= item.on !== undefined || item.mayFlush !== undefined;
  }
  // Something must come back, or nobody knows when the flush is over.
  const tail = fence ?? (commands === 0 ? NOOP : undefined);
  if (tail !== undefined) commands++;
  return { items, tail, commands, guarded, missing: commands, cursor: 0, deadlineMs: 0 };
}

/** The flush may go over the connection now as it is: none of its exchanges is for another one, or has a gate that is shut (rule T). */
export function mayGo({ guarded, items }: Flush, connection: ConnectionRef): boolean {
  return !guarded || !items.some((item) => isStray(item, connection) || isLate(item));
}

/** The exchanges of a flush that may not go as it is: those that may, those for another connection, and those whose gate is shut. */
export function sift({ items }: Flush, connection: ConnectionRef): Record<"fit" | "stray" | "late", Pending[]> {
  const sifted: Record<"fit" | "stray" | "late", Pending[]> = { fit: [], stray: [], late: [] };
  for (const item of items) sifted[isStray(item, connection) ? "stray" : isLate(item) ? "late" : "fit"].push(item);
  return sifted;
}

function isStray({ on }: Pending, { id }: ConnectionRef): boolean {
  return on !== undefined && on.id !== id;
}

function isLate(item: Pending): boolean {
  return item.mayFlush?.() === false;
}

/** Whose reply comes next; undefined: the tail's. */
export function nextItem(flush: Flush): Pending | undefined {
  let item = flush.items[flush.cursor];
  while (item !== undefined && item.replies.length === item.commands.length) item = flush.items[++flush.cursor];
  return item;
}

/** Deals out the next reply. True when it was the last one: of the tail, where the flush has one. */
export function takeReply(flush: Flush, reply: Reply): boolean {
  flush.missing--;
  const item = nextItem(flush);
  if (item !== undefined) {
    if (item.replies === NO_REPLIES) item.replies = [reply];
    else item.replies.push(reply);
  }
  return flush.missing === 0;
}

/** The bytes of a flush as few pieces: latin1 text, and large data blocks as they are between them. */
export function encodeFlush(flush: Flush): (string | Buffer)[] {
  const pieces: (string | Buffer)[] = [];
  let text = "";
  const { items } = flush;
  for (let i = 0; i < items.length; i++) {
    const { commands } = items[i]!;
    for (let j = 0; j < commands.length; j++) {
      const command = commands[j]!;
      if (command.text !== undefined) {
        if (command.text.length < OWN_WRITE_BYTES) {
          text += `${command.line}\r\n${command.text}\r\n`;
        } else {
          pieces.push(`${text}${command.line}\r\n`, command.text);
          text = "\r\n";
        }
        continue;
      }
      const { line, data } = command;
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

function commandBytes(command: Command): number {
  if (command.text !== undefined) return command.line.length + command.text.length + 4;
  const { line, data } = command;
  return data === undefined ? line.length + 2 : line.length + data.length + 4;
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
