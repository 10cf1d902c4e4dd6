/**
 * ASCII text on its way to a server. It becomes part of the request text as it is, or is handed to the socket as it is when it is long: Node
 * writes a string's chars straight into the memory that it sends from, and frees that when it is sent. A Buffer of it would be made only to be
 * copied, and stays until the garbage collector finds it. Who wants bytes, as a TLS record or another protocol does, asks for `data`.
 */
import type { Command } from "./exchange.ts";

/** Longer text, which no memcached takes by default, is not looked through for chars that are not ASCII: 30 µs for 256 KiB. */
const MAX_TEXT_LENGTH = 1024 * 1024;

/** True when the text's UTF-8 bytes are its chars, and it is not too long to find out. */
export function isAscii(text: string): boolean {
  return text.length <= MAX_TEXT_LENGTH && Buffer.byteLength(text, "utf8") === text.length;
}

/** A data block of ASCII text. */
export class TextBlock {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  get data(): Buffer {
    return Buffer.from(this.text, "latin1");
  }
}

/** A storage command with such a block. */
export class TextCommand extends TextBlock implements Command {
  readonly line: string;

  constructor(line: string, text: string) {
    super(text);
    this.line = line;
  }
}
