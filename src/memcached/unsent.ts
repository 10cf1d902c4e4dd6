/**
 * What an exchange fails with that a link did not get to send, each with the server's name. Beside them the errors of its connections, which
 * fail what is in flight.
 */
import { type ErrorCode, RingshiftError } from "../errors.ts";
import { ExchangeError } from "./transport.ts";

export class Unsent {
  readonly #name: string;

  /** @param name of the server */
  constructor(name: string) {
    this.#name = name;
  }

  error(code: ErrorCode, what: string, cause?: unknown): RingshiftError {
    return new RingshiftError(code, `${this.#name}: ${what}`, { node: this.#name, cause });
  }

  because(code: ErrorCode, what: string, cause?: unknown): ExchangeError {
    return new ExchangeError(this.error(code, what, cause), false);
  }

  closed(): ExchangeError {
    return this.because("CLOSED", "the client was closed");
  }

  /** The exchange's `on` is not the connection that there is. */
  gone(): ExchangeError {
    return this.because("NODE_DOWN", "the connection that this had to go over is gone");
  }

  /** Rule T: its gate was shut. */
  late(): ExchangeError {
    return new ExchangeError(this.error("TIMEOUT", "the topology could not be confirmed in time"), false, true);
  }

  /**
   * What nobody got to send failed for want of a server, whatever broke the connection; only a handshake's own words stand as they are.
   * @param opening the connection did not come about
   */
  withoutServer(error: RingshiftError, opening: boolean): ExchangeError {
    const refused = opening && !["TIMEOUT", "PROTOCOL_ERROR"].includes(error.code);
    if (refused || error.code === "NODE_DOWN") return new ExchangeError(error, false);
    return this.because("NODE_DOWN", error.message, error);
  }
}
