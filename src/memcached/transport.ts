/** The interface between the decisions (client, migration) and the sockets. The simulated servers of the model implement it too. */
import type { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "./access.ts";
import type { Command, ConnectionRef, Exchanged } from "./exchange.ts";

/** Thrown by an exchange that has no replies. */
export class ExchangeError extends Error {
  readonly error: RingshiftError;
  /** False: not one byte was handed to the socket. True: the commands may have run. */
  readonly sent: boolean;
  /** True: nothing was sent because the link's `mayFlush` said no (rule T). Confirm the document, then try again. */
  readonly gate: boolean;

  constructor(error: RingshiftError, sent: boolean, gate = false) {
    super(error.message, { cause: error });
    this.name = "ExchangeError";
    this.error = error;
    this.sent = sent;
    this.gate = gate;
  }
}

/** A Memcached server as the ring knows it. */
export interface Endpoint {
  readonly name: string;
  readonly address: string;
}

export interface Transport {
  /** How servers are reached, for connections beside this transport. */
  readonly access?: ServerAccess | undefined;
  /**
   * Sends the commands in one flush, in order, ended by a get of the fence, and resolves with the replies.
   * At most 63 commands and 256 KiB, except for a single command with a larger value.
   * With `on`, goes over exactly that connection or fails unsent. `mayFlush` is asked right before the flush is handed to the socket; false:
   * unsent, with `gate` set.
   * @throws ExchangeError
   */
  exchange(
    node: Endpoint,
    commands: readonly Command[],
    on?: ConnectionRef,
    mayFlush?: () => boolean,
  ): Promise<Exchanged>;
  /** The server does not answer, and what is sent to it fails at once. */
  isDown?(node: Endpoint): boolean;
  /** There is news that the server answers: what is sent to it from now on does not wait for, or fail by, the back-off of earlier failures. */
  retry?(node: Endpoint): void;
  /**
   * The keys of all live items, as wire keys, by `lru_crawler metadump`. Not atomic: items that come or go meanwhile may be missed.
   * @param waitMs for each answer that is waited for. Default: what a server may need, a minute before the first key
   * @throws RingshiftError when the server cannot be read to the end
   */
  dump(node: Endpoint, waitMs?: number): AsyncIterable<string>;
}

/** What one exchange may hold: a flush of 64 commands and 256 KiB, less the get of the fence. */
export const MAX_EXCHANGE_COMMANDS = 63;
export const MAX_EXCHANGE_BYTES = 256 * 1024 - 300;
