/** Questions to a server in the binary protocol, each over a short connection of its own. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Credentials } from "../memcached/access.ts";
import { parseAddress } from "../memcached/address.ts";
import type { ServerAdmin } from "../memcached/pool-protocol.ts";
import { MemjsServer } from "./memjs-server.ts";
import { type BinaryRequest, type BinaryResponse, isAuthFailure, OPCODE, refusal, request, STATUS } from "./wire.ts";

/** As the text protocol's questions have it. */
const TIMEOUT_MS = 2_000;

export class BinaryAdmin implements ServerAdmin {
  readonly #address: string;
  readonly #auth: Credentials | undefined;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;

  constructor(address: string, auth: Credentials | undefined, timeoutMs = TIMEOUT_MS, signal?: AbortSignal) {
    this.#address = address;
    this.#auth = auth;
    this.#timeoutMs = timeoutMs;
    this.#signal = signal;
  }

  async version(): Promise<string> {
    const [answer] = await this.#ask("version", request(OPCODE.version), false);
    return answer!.val.toString("latin1");
  }

  async stats(what: string): Promise<Map<string, string>> {
    if (!/^[a-z_ ]*$/.test(what)) {
      const message = `${this.#address}: not a kind of statistics: ${JSON.stringify(what)}`;
      throw new RingshiftError("INVALID_OPTION", message, { node: this.#address });
    }
    const key = Buffer.from(what, "latin1");
    const found = await this.#ask(`stats ${what}`, request(OPCODE.stat, { key }), true);
    return new Map(found.map((one) => [one.key.toString("latin1"), one.val.toString("latin1")]));
  }

  async flushAll(): Promise<void> {
    await this.#ask("flush", request(OPCODE.flush), false);
  }

  /** @param list responses follow each other until one with an empty body, which is left out */
  #ask(what: string, question: BinaryRequest, list: boolean): Promise<BinaryResponse[]> {
    const found: BinaryResponse[] = [];
    return new Promise((resolve, reject) => {
      const timeoutMs = this.#timeoutMs;
      const times = { connectTimeoutMs: timeoutMs, timeoutMs };
      const late = this.#error("TIMEOUT", `no answer to ${what} within ${timeoutMs} ms`);
      const timer = setTimeout(() => server.destroy(late), timeoutMs);
      const onAbort = () => server.destroy(this.#error("CLOSED", "the client was closed"));
      const done = () => {
        resolve(found);
        server.destroy(this.#error("CLOSED", "answered"));
      };
      const server = new MemjsServer(parseAddress(this.#address), this.#auth, times, {
        onOpen: () => server.write(list ? server.prepareList(question, receive) : server.prepare(question, receive)),
        onDrain: () => {},
        onEnd: (cause) => {
          clearTimeout(timer);
          this.#signal?.removeEventListener("abort", onAbort);
          reject(this.#ended(cause)); // nothing, where it is answered
        },
      });
      const receive = (response: BinaryResponse) => {
        if (response.header.status !== STATUS.ok) throw refusal(this.#address, what, response);
        if (list && response.header.totalBodyLength === 0) return done();
        found.push(response);
        if (!list) done();
      };
      if (this.#signal?.aborted) onAbort();
      else this.#signal?.addEventListener("abort", onAbort);
    });
  }

  #ended(cause: unknown): RingshiftError {
    if (isRingshiftError(cause)) return cause;
    if (isAuthFailure(cause)) return this.#error("AUTH_FAILED", "username and password were refused", cause);
    return this.#error("NODE_DOWN", cause instanceof Error ? cause.message || cause.name : String(cause), cause);
  }

  #error(code: RingshiftError["code"], what: string, cause?: unknown): RingshiftError {
    return new RingshiftError(code, `${this.#address}: ${what}`, { node: this.#address, cause });
  }
}
