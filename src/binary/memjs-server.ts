/**
 * memjs' `Server`, which connects, authenticates (SASL PLAIN) and cuts the responses apart, as this project uses it. What memjs does on
 * its own account is kept out of the way:
 *
 *   one object, one connection     after a failure a memjs server forgets the socket that it opens next
 *   its timeouts are ours, later   they leave the socket open, and count writes, not requests
 *   no credentials but those given it would take them from the environment
 *   the first request is a NOOP    a server that wants credentials refuses what comes first; a caller's write must not be that
 */
import type { Socket } from "node:net";
import { Server } from "memjs";
import type { Credentials } from "../memcached/access.ts";
import type { Address } from "../memcached/address.ts";
import { answers, type BinaryRequest, type BinaryResponse, encode, OPCODE, request, STATUS } from "./wire.ts";

const KEEP_ALIVE_S = 30;
const MS_PER_S = 1_000;
/** memjs' own timeouts come to nothing while ours work. */
const LATER = 4;

export interface MemjsHooks {
  /** The server has taken the credentials and answers. */
  onOpen(): void;
  onDrain(): void;
  /** What ended the connection: an Error, or memjs' text where the server refuses the credentials. Once. */
  onEnd(cause: unknown): void;
}

export interface MemjsTimes {
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
}

export class MemjsServer {
  readonly #server: Server;
  readonly #socket: Socket;
  readonly #hooks: MemjsHooks;
  /** Of the latest request, and of the latest that is answered. */
  #lastOpaque = 0;
  #lastAnswered = 0;
  #ended = false;

  /** Begins to connect. */
  constructor({ host, port, path }: Address, auth: Credentials | undefined, times: MemjsTimes, hooks: MemjsHooks) {
    this.#hooks = hooks;
    this.#server = new Server(host, path ?? port, auth?.username, auth?.password, {
      timeout: (times.timeoutMs * LATER) / MS_PER_S,
      conntimeout: (times.connectTimeoutMs * LATER) / MS_PER_S,
      keepAlive: true,
      keepAliveDelay: KEEP_ALIVE_S,
    });
    this.#server.username = auth?.username;
    this.#server.password = auth?.password;
    this.#server.onError("end", (cause) => this.#end(cause));
    this.#server.sock(false, () => this.#greet());
    this.#socket = this.#server._socket!;
    this.#socket.setNoDelay(true);
    this.#socket.on("drain", () => hooks.onDrain());
    this.#socket.on("close", () => this.destroy(new Error("the server closed the connection")));
  }

  /** Bytes that the socket holds. */
  get backlog(): number {
    return this.#socket.writableLength;
  }

  /** A request's bytes. Its response goes to `receive`. What `receive` throws, and a response out of its turn, end the connection. */
  prepare(request: BinaryRequest, receive: (response: BinaryResponse) => void): Buffer {
    const opaque = next(this.#lastOpaque);
    this.#lastOpaque = opaque;
    this.#server.onResponse(opaque, (response) => {
      const inTurn = opaque === next(this.#lastAnswered);
      this.#lastAnswered = opaque;
      this.#receive(request, response, inTurn, receive);
    });
    return encode(request, opaque);
  }

  /** As `prepare`, for the last request, which is answered by several responses, the last of them with an empty body. */
  prepareList(request: BinaryRequest, receive: (response: BinaryResponse) => void): Buffer {
    const opaque = next(this.#lastOpaque);
    const receiver = (response: BinaryResponse) => this.#receive(request, response, true, receive);
    this.#server.onResponse(opaque, Object.assign(receiver, { quiet: true }));
    return encode(request, opaque);
  }

  write(bytes: Buffer): void {
    if (!this.#ended) this.#server.write(bytes);
  }

  /** Ends it now; `onEnd` is told unless it has ended before. */
  destroy(cause: unknown): void {
    if (this.#ended) return;
    this.#end(cause);
    this.#server.error(cause);
  }

  #greet(): void {
    const noop = this.prepare(request(OPCODE.noop), ({ header }) => {
      if (header.status !== STATUS.ok) throw new Error(`a no-op was answered 0x${header.status.toString(16)}`);
      this.#hooks.onOpen();
    });
    this.write(noop);
  }

  #receive(
    request: BinaryRequest,
    response: BinaryResponse,
    inTurn: boolean,
    receive: (response: BinaryResponse) => void,
  ): void {
    if (this.#ended) return;
    try {
      if (!inTurn || !answers(response, request)) throw new Error("the server's response is not one to what was asked");
      receive(response);
    } catch (error) {
      this.destroy(error);
    }
  }

  #end(cause: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#hooks.onEnd(cause);
  }
}

function next(opaque: number): number {
  return (opaque + 1) >>> 0;
}
