/** How an attempt at an operation ends without an answer (docs/protocol.md, rule V). */

/** Nothing of the caller's write is in flight or has run: the operation may begin again under a newer view. */
export class Retry extends Error {
  /** A step that may be repeated was sent and not answered: where it was the caller's own (a touch), it may have taken effect. */
  readonly acted: boolean;

  constructor(cause?: unknown, acted = false) {
    super("begin again", { cause });
    this.acted = acted;
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
