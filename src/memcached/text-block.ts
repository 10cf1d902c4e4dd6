/**
 * Short ASCII text on its way to a server. It becomes part of the request text as it is; a Buffer of it would be made only to be turned into
 * the same text again. Who wants bytes, as a TLS record or another protocol does, asks for `data`.
 */
import type { Command } from "./exchange.ts";

/** Longer text is not looked through for chars that are not ASCII. */
const MAX_TEXT_LENGTH = 2048;

/** True when the text's UTF-8 bytes are its chars, and it is short. */
export function isShortAscii(text: string): boolean {
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
