/** How an attempt at an operation ends without an answer (docs/protocol.md, rule V). */

/** Nothing of the caller's write is in flight or has run: the operation may begin again under a newer view. */
export class Retry extends Error {
  /** The document has to be read again first. */
  readonly refresh: boolean;

  constructor(cause?: unknown, refresh = true) {
    super("begin again", { cause });
    this.refresh = refresh;
  }
}

/** The caller's write was sent and cannot be accepted: its effect is unknown. */
export class Ambiguous extends Error {
  constructor(cause?: unknown) {
    super("effect unknown", { cause });
  }
}

/** A pulled value that its new owner cannot store (too large for it, or full under -M). */
export class Unstorable extends Error {
  readonly key: string;
  readonly node: string;

  constructor(key: string, node: string, message: string) {
    super(message);
    this.key = key;
    this.node = node;
  }
}
