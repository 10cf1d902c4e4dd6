/** What a link is told when it is made. */
import type { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "./access.ts";
import type { Command, ConnectionRef, Exchanged, Reply } from "./exchange.ts";
import type { Flush, Pending, Settle } from "./flush.ts";
import type { ConnectionHooks, ConnectionTarget } from "./flush-carrier.ts";

/** Sent first on every new connection, before anything queued. */
export interface Handshake {
  readonly commands: readonly Command[];
  /** An error closes the connection, and all that is queued fails unsent with it. */
  check(replies: readonly Reply[]): RingshiftError | undefined;
}

/** Sends commands over the one connection that is being admitted, before anybody else's. @throws ExchangeError */
export type FirstWords = (commands: readonly Command[]) => Promise<Exchanged>;

/** Marking a server down, probing it, and letting it serve again. */
export interface Health {
  /** Connections in a row that came to nothing until the server counts as down: what is submitted then fails at once. One, where it is suspect. */
  readonly downAfter: number;
  /** Runs on the first connection to a server that was down or is `suspect`, before it serves. What it throws leaves the server down. */
  readonly onRejoin?: ((exchange: FirstWords) => Promise<void>) | undefined;
  readonly onDown?: ((error: RingshiftError) => void) | undefined;
  readonly onUp?: (() => void) | undefined;
}

/** One connection as its link uses it, whatever protocol it speaks. It is never repaired: what goes wrong ends it. */
export interface Carrier {
  readonly ref: ConnectionRef;
  /** Commands that were written and not answered, tails included. */
  readonly inFlight: number;
  /** True once anything was answered. */
  readonly productive: boolean;
  /** False while the socket holds too much already. */
  readonly writable: boolean;
  /** What a reply to the latest flushes was long, in bytes. Undefined: not counted. */
  readonly replyBytes?: number;
  /** Hands a flush to the socket. Every exchange in it is settled exactly once from here on. */
  write(flush: Flush): void;
  /** What is written between the two may go together. */
  cork?(): void;
  uncork?(): void;
  /** As a link does, for what is in flight. */
  expire(nowMs: number): number;
  /** Takes no further flush, and closes when the ones in flight are answered or have timed out. */
  finish(error: RingshiftError): void;
  /** Closes now; what is in flight fails with `error`, as sent. */
  destroy(error: RingshiftError): void;
}

/** Begins to connect. */
export type OpenCarrier = (target: ConnectionTarget, hooks: ConnectionHooks) => Carrier;

/** What the rest of ringshift has of a server's link, or of several to the same server. See `Link` for the contracts. */
export interface NodeLink {
  readonly connection: ConnectionRef | undefined;
  readonly inFlight: number;
  readonly waiting: number;
  readonly down: boolean;
  submit(commands: readonly Command[], on: ConnectionRef | undefined, settle: Settle, mayFlush?: () => boolean): void;
  enqueue(item: Pending): void;
  exchange(commands: readonly Command[], on?: ConnectionRef, mayFlush?: () => boolean): Promise<Exchanged>;
  suspect(): void;
  retry(): void;
  /** Has everything that waits or is in flight look at its caller's time. @returns the earliest end of it, in monotonic ms; Infinity: none */
  expire(nowMs: number): number;
  close(): Promise<void>;
}

export interface LinkOptions {
  /** Name of the node, for errors. */
  readonly name: string;
  /** `host:port` or `unix:/path`, see `parseAddress`. */
  readonly address: string;
  /** Wire key of the fence item that every flush ends with a get of. Without: no fence is read (a plain client). */
  readonly fenceKey?: string | undefined;
  readonly access?: ServerAccess | undefined;
  /** How a connection is made. Default: one that speaks the meta protocol. */
  readonly connect?: OpenCarrier | undefined;
  readonly handshake?: Handshake | undefined;
  /** Rule T: asked right before a flush is handed to the socket. False: its exchanges fail unsent with `gate` set. */
  readonly mayFlush?: (() => boolean) | undefined;
  /** Default 1000. */
  readonly connectTimeoutMs?: number | undefined;
  /** Per flush, from its write to its last reply. Default 1000. */
  readonly timeoutMs?: number | undefined;
  /** Commands waiting and in flight. Default 100,000. */
  readonly queueLimit?: number | undefined;
  /** Random numbers in [0, 1) for the back-off's jitter. */
  readonly random?: (() => number) | undefined;
  /** Without it a server is never down: each command after a back-off tries anew. */
  readonly health?: Health | undefined;
  /** A connection is up and its handshake done. */
  readonly onUp?: (() => void) | undefined;
  /** A connection broke or did not come about. Not called on `close`. */
  readonly onDown?: ((error: RingshiftError) => void) | undefined;
}
