/**
 * Replies out of a byte stream, however the network cut it.
 *
 *     HD c12 \r\n      VA 5 f0 t-1 \r\n h e l l o \r\n      EN \r\n
 *     |---line---|     |----line----|   |-value-| crlf
 *
 * Two states: a line, or the value block that a `VA` line announced. A line that lies whole in a chunk is read in place; one that is cut
 * is put together in a fixed buffer. A value is copied once, into a Buffer of its exact size: kept as a slice, 20 bytes would hold on to
 * a 64 KiB read. Where its receiver wants text (`wantsText`), a value that lies whole in a chunk becomes a string without a Buffer between.
 * Chunks may be the same memory each time: nothing here refers to one when `push` has returned. Classic `VALUE`, `STAT` and metadump
 * lines are not spoken here.
 */
import { RingshiftError } from "../errors.ts";
import type { Reply } from "./exchange.ts";
import { BARE, LONG_WORDS, type MutableReply, newReply, shortWord } from "./reply-words.ts";
import { acquire, release } from "./scratch.ts";

/** Longest reply line in bytes. A meta line with every flag and a 250-byte key stays under 600. */
export const MAX_LINE_BYTES = 2048;
/** Largest value taken: memcached's own upper bound for `-I`. */
export const MAX_VALUE_BYTES = 1024 * 1024 * 1024;

/** Looked through byte by byte before `indexOf` is asked. */
const NEAR_BYTES = 32;
const LF = 10;
const CR = 13;
const SPACE = 32;

export class ReplyParser {
  readonly #onReply: (reply: Reply) => void;
  readonly #wantsText: (flags: number) => boolean;
  /** The beginning of a line that a chunk boundary cut. */
  #cut: Buffer | undefined;
  #cutLength = 0;
  /** The `VA` reply whose value is being read. */
  #open: MutableReply | undefined;
  #value: Buffer | undefined;
  #asText = false;
  #size = 0;
  /** Bytes of value and CR LF still to come. */
  #missing = 0;
  #stopped = false;

  /** @param wantsText asked before a value is read, with its client flags: is the next reply's value to be its `text`? */
  constructor(onReply: (reply: Reply) => void, wantsText: (flags: number) => boolean = () => false) {
    this.#onReply = onReply;
    this.#wantsText = wantsText;
  }

  /** No further reply is delivered, not even from the chunk at hand. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Takes the next bytes, the first `length` of the chunk, and calls back for every reply they complete.
   * @throws RingshiftError PROTOCOL_ERROR on anything that is not a reply; the parser is stopped then.
   */
  push(chunk: Buffer, length = chunk.length): void {
    let at = 0;
    while (at < length && !this.#stopped) {
      if (this.#open !== undefined) {
        at = this.#pushValue(chunk, at, length, this.#open);
        continue;
      }
      const newline = lineEnd(chunk, at, length);
      if (newline === -1) {
        this.#keepCut(chunk, at, length);
        return;
      }
      if (this.#cutLength === 0) {
        this.#parseLine(chunk, at, newline);
      } else {
        this.#keepCut(chunk, at, newline + 1);
        const length = this.#cutLength;
        this.#cutLength = 0;
        this.#parseLine(this.#cut as Buffer, 0, length - 1);
      }
      at = newline + 1;
    }
  }

  #keepCut(chunk: Buffer, from: number, to: number): void {
    if (this.#cutLength + (to - from) > MAX_LINE_BYTES)
      throw this.#refuse(`a line of more than ${MAX_LINE_BYTES} bytes`);
    this.#cut ??= Buffer.allocUnsafeSlow(MAX_LINE_BYTES);
    this.#cutLength += chunk.copy(this.#cut, this.#cutLength, from, to);
  }

  /** Reads on in the value block and its CR LF; returns where it stopped. */
  #pushValue(chunk: Buffer, at: number, length: number, reply: MutableReply): number {
    const whole = at + this.#missing;
    if (this.#value === undefined && this.#asText && whole <= length) {
      if (chunk[whole - 2] !== CR || chunk[whole - 1] !== LF) throw this.#refuseEnd();
      reply.text = chunk.toString("utf8", at, whole - 2);
      this.#open = undefined;
      this.#onReply(reply);
      return whole;
    }
    if (this.#value === undefined) {
      this.#size = this.#missing - 2;
      this.#value = this.#asText ? acquire(this.#size) : Buffer.allocUnsafe(this.#size);
    }
    const value = this.#value;
    let next = at;
    if (this.#missing > 2) {
      next = at + Math.min(this.#missing - 2, length - at);
      chunk.copy(value, this.#size + 2 - this.#missing, at, next);
      this.#missing -= next - at;
    }
    while (this.#missing <= 2 && next < length) {
      if (chunk[next] !== (this.#missing === 2 ? CR : LF)) throw this.#refuseEnd();
      next++;
      this.#missing--;
      if (this.#missing === 0) {
        this.#open = undefined;
        this.#value = undefined;
        if (this.#asText) reply.text = release(value, this.#size);
        else reply.value = value;
        this.#onReply(reply);
        break;
      }
    }
    return next;
  }

  /** @param end position of the line's LF. */
  #parseLine(bytes: Buffer, start: number, end: number): void {
    const stop = end - 1;
    if (stop < start || bytes[stop] !== CR) throw this.#refuse("a line without CR LF", bytes, start, end);
    if (stop - start > MAX_LINE_BYTES) throw this.#refuse(`a line of more than ${MAX_LINE_BYTES} bytes`);
    const isShort = stop === start + 2 || (stop > start + 2 && bytes[start + 2] === SPACE);
    const status = isShort ? shortWord(bytes[start] as number, bytes[start + 1] as number) : undefined;
    if (status === undefined) {
      this.#parseLongWord(bytes, start, stop);
      return;
    }
    const bare = stop === start + 2 ? BARE.get(status) : undefined;
    if (bare !== undefined) {
      this.#onReply(bare);
      return;
    }
    const reply = newReply(status);
    if (status !== "VA") {
      this.#parseFlags(bytes, start + 2, stop, reply);
      this.#onReply(reply);
      return;
    }
    let at = start + 3;
    let size = 0;
    for (; at < stop && bytes[at] !== SPACE; at++) size = size * 10 + this.#digit(bytes, at, start, stop);
    if (at === start + 3 || size > MAX_VALUE_BYTES)
      throw this.#refuse("a value of an impossible size", bytes, start, stop);
    this.#parseFlags(bytes, at, stop, reply);
    this.#asText = this.#wantsText(reply.flags ?? 0);
    this.#missing = size + 2;
    this.#open = reply;
  }

  /** Meta return flags, each one letter and its token. Letters that nobody here asks for are passed over. */
  #parseFlags(bytes: Buffer, from: number, stop: number, reply: MutableReply): void {
    let at = from;
    while (at < stop) {
      const letter = bytes[at++];
      if (letter === SPACE) continue;
      let tokenEnd = at;
      while (tokenEnd < stop && bytes[tokenEnd] !== SPACE) tokenEnd++;
      switch (letter) {
        case 0x66: // f
          reply.flags = this.#number(bytes, at, tokenEnd);
          break;
        case 0x63: // c
          reply.cas = this.#decimal(bytes, at, tokenEnd);
          break;
        case 0x74: // t
          reply.ttl = bytes[at] === 0x2d ? -this.#number(bytes, at + 1, tokenEnd) : this.#number(bytes, at, tokenEnd);
          break;
        case 0x73: // s
          reply.size = this.#number(bytes, at, tokenEnd);
          break;
        case 0x6c: // l
          reply.idle = this.#number(bytes, at, tokenEnd);
          break;
        case 0x68: // h
          reply.hitBefore = bytes[at] === 0x31;
          break;
        case 0x57: // W
          reply.won = true;
          break;
        case 0x58: // X
          reply.stale = true;
          break;
      }
      at = tokenEnd;
    }
  }

  #parseLongWord(bytes: Buffer, start: number, stop: number): void {
    let wordEnd = start;
    while (wordEnd < stop && bytes[wordEnd] !== SPACE) wordEnd++;
    const word = bytes.toString("latin1", start, wordEnd);
    const keepsMessage = LONG_WORDS.get(word);
    if (keepsMessage === undefined) throw this.#refuse("an unknown reply", bytes, start, stop);
    const bare = keepsMessage ? undefined : BARE.get(word);
    if (bare !== undefined) {
      this.#onReply(bare);
      return;
    }
    const reply = newReply(word);
    if (keepsMessage && wordEnd < stop) reply.message = bytes.toString("latin1", wordEnd + 1, stop);
    this.#onReply(reply);
  }

  #number(bytes: Buffer, from: number, to: number): number {
    if (from >= to || to - from > 15) throw this.#refuse("a flag without its number", bytes, from, to);
    let value = 0;
    for (let at = from; at < to; at++) value = value * 10 + this.#digit(bytes, at, from, to);
    return value;
  }

  /** A 64-bit number as text. Up to 15 digits it is made from a number, which is quicker than from bytes. */
  #decimal(bytes: Buffer, from: number, to: number): string {
    if (to - from <= 15) return String(this.#number(bytes, from, to));
    for (let at = from; at < to; at++) this.#digit(bytes, at, from, to);
    return bytes.toString("latin1", from, to);
  }

  #digit(bytes: Buffer, at: number, from: number, to: number): number {
    const digit = (bytes[at] as number) - 0x30;
    if (digit < 0 || digit > 9) throw this.#refuse("no digit where a number should be", bytes, from, to);
    return digit;
  }

  #refuseEnd(): RingshiftError {
    return this.#refuse("a value that does not end where its size says");
  }

  #refuse(what: string, bytes?: Buffer, from = 0, to = 0): RingshiftError {
    this.#stopped = true;
    // A short excerpt: enough to recognise another protocol, too little to spill a value.
    const excerpt =
      bytes === undefined ? "" : `: ${JSON.stringify(bytes.toString("latin1", from, Math.min(to, from + 40)))}`;
    return new RingshiftError("PROTOCOL_ERROR", `the server sent ${what}${excerpt}`);
  }
}

/** Position of the next LF, or -1. Reply lines are a dozen bytes, which is fewer than a call of `indexOf` is worth. */
function lineEnd(bytes: Buffer, from: number, length: number): number {
  const near = Math.min(length, from + NEAR_BYTES);
  for (let at = from; at < near; at++) if (bytes[at] === LF) return at;
  const found = near === length ? -1 : bytes.indexOf(LF, near);
  return found < length ? found : -1; // behind `length` lies what an earlier chunk has left
}
