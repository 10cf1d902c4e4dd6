/**
 * One connection over memjs to a server that speaks the binary protocol: what `Connection` is for the meta protocol, so the link above it
 * does not know the difference.
 *
 *     write(flush) ─ translate ─► requests, get of the fence ─ memjs ─► server ─ memjs ─► replies ─► settle, when the flush is complete
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Credentials } from "../memcached/access.ts";
import type { Reply } from "../memcached/exchange.ts";
import { type Flush, failAll, newFlush, type Pending } from "../memcached/flush.ts";
import {
  type ConnectionHooks,
  type ConnectionTarget,
  FlushCarrier,
  MAX_SOCKET_BACKLOG_BYTES,
} from "../memcached/flush-carrier.ts";
import { ExchangeError } from "../memcached/transport.ts";
import { MemjsServer } from "./memjs-server.ts";
import { type Translated, translate } from "./translate.ts";
import { isAuthFailure } from "./wire.ts";

/** Below zero: no connection of the meta protocol has such a number. */
let lastId = 0;

export class BinaryConnection extends FlushCarrier {
  readonly #server: MemjsServer;

  constructor(target: ConnectionTarget, hooks: ConnectionHooks, auth: Credentials | undefined) {
    super(target, hooks, --lastId, "; does it speak binary?");
    this.#server = new MemjsServer(target.address, auth, target, {
      onOpen: () => {
        this.answered();
        this.opened();
      },
      onDrain: () => hooks.onDrain(this),
      onEnd: (cause) => this.#onEnd(cause),
    });
  }

  get writable(): boolean {
    return this.takesFlushes && this.#server.backlog < MAX_SOCKET_BACKLOG_BYTES;
  }

  write(flush: Flush): void {
    const work = translateAll(flush);
    if (work === undefined) {
      const rest = this.#withoutUnspeakable(flush);
      if (rest !== undefined) this.write(rest);
      return;
    }
    this.begin(flush);
    const blobs = work.map(({ request, read }) => {
      return this.#server.prepare(request, (response) => this.#onReply(flush, read(response)));
    });
    this.#server.write(blobs.length === 1 ? blobs[0]! : Buffer.concat(blobs));
  }

  protected cut(error: RingshiftError): void {
    this.#server.destroy(error);
  }

  /** Exchanges with a command that has no binary form fail unsent. Undefined: nothing is left. */
  #withoutUnspeakable(flush: Flush): Flush | undefined {
    const speakable = (item: Pending) => item.commands.every((command) => translate(command) !== undefined);
    if (flush.items.every(speakable)) return flush;
    const { name } = this.target;
    const error = new RingshiftError(
      "NOT_SUPPORTED",
      `${name}: the binary protocol cannot do this; see the table in docs/commands.md.`,
      { node: name },
    );
    const failed = flush.items.filter((item) => !speakable(item));
    failAll(failed, new ExchangeError(error, false));
    const rest = flush.items.filter(speakable);
    return rest.length === 0 ? undefined : newFlush(rest, flush.tail);
  }

  #onReply(flush: Flush, reply: Reply): void {
    if (this.oldest !== flush) throw new Error("a response came out of its turn");
    this.take(flush, reply);
  }

  #onEnd(cause: unknown): void {
    if (this.closed) return;
    if (isRingshiftError(cause)) this.destroy(cause);
    else if (isAuthFailure(cause)) this.destroy(this.error("AUTH_FAILED", "username and password were refused", cause));
    else this.fail("NODE_DOWN", cause instanceof Error ? cause.message || cause.name : String(cause), cause);
  }
}

/** The requests of a flush, its tail's last. Undefined: some command has no binary form. */
function translateAll({ items, tail }: Flush): Translated[] | undefined {
  const work: Translated[] = [];
  for (const { commands } of tail === undefined ? items : [...items, { commands: [tail] }]) {
    for (const command of commands) {
      const translated = translate(command);
      if (translated === undefined) return undefined;
      work.push(translated);
    }
  }
  return work;
}
