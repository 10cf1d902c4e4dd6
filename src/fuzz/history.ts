/**
 * What the calls of one process on one key may answer, when some of their replies are lost. Calls on a key take effect in their order:
 *
 *   acknowledged   it is what is there
 *   AMBIGUOUS      it may have taken effect, or still do: a packet can lie in a socket that the client has given up
 *   any other code nothing was sent, so it is never seen
 */
import { type ErrorCode, isRingshiftError } from "../errors.ts";

export interface Call {
  readonly kind: "set" | "delete" | "get";
  /** Of a set. */
  readonly value?: string;
}

export type Outcome = { readonly answer: unknown } | { readonly error: unknown };

/** Codes of a call whose server did not answer as it should. Anything else is a defect. */
const EXPECTED: ReadonlySet<ErrorCode> = new Set([
  "NODE_DOWN",
  "TIMEOUT",
  "AMBIGUOUS_WRITE",
  "PROTOCOL_ERROR",
  "SERVER_ERROR",
]);

export class KeyHistory {
  readonly #key: string;
  /** What is there for sure, unless one of `#maybe` is. */
  #last: string | undefined;
  readonly #maybe = new Set<string | undefined>();

  constructor(key: string) {
    this.#key = key;
  }

  /** Calls in their order. What is wrong about the outcome; undefined: nothing. */
  add(call: Call, outcome: Outcome): string | undefined {
    if ("error" in outcome) return this.#failed(call, outcome.error);
    switch (call.kind) {
      case "set":
        this.#last = call.value;
        return outcome.answer === true ? undefined : this.#wrong("set", outcome.answer);
      case "delete": {
        const there = this.#last !== undefined;
        const known = this.#maybe.size === 0;
        this.#last = undefined;
        return known && outcome.answer !== there ? this.#wrong("delete", outcome.answer) : undefined;
      }
      case "get":
        if (outcome.answer === this.#last || this.#maybe.has(outcome.answer as string | undefined)) return undefined;
        return this.#wrong("get", outcome.answer);
    }
  }

  #failed(call: Call, error: unknown): string | undefined {
    if (!isRingshiftError(error) || !EXPECTED.has(error.code))
      return `${call.kind} ${this.#key} failed: ${String(error)}`;
    if (error.code === "AMBIGUOUS_WRITE") this.#maybe.add(call.kind === "set" ? call.value : undefined);
    return undefined;
  }

  #wrong(what: string, answer: unknown): string {
    return `${what} ${this.#key} answered ${JSON.stringify(answer)}; there was ${JSON.stringify(this.#last)}`;
  }
}
