/** The commands that read. */
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { standsAsMiss } from "../protocol/lease.ts";
import * as mutate from "../protocol/mutate.ts";
import { read } from "../protocol/read.ts";
import type { Route } from "../protocol/view.ts";
import { abortable } from "./bound.ts";
import type { Core } from "./core.ts";
import type { Call } from "./operate.ts";
import { type Answer, UNDECIDED } from "./sent.ts";
import type { CallOptions, CasToken, ItemMeta, Versioned } from "./types.ts";

const NO_OPTIONS: CallOptions = {};

export class Reader {
  readonly #core: Core;
  readonly #connections = new WeakMap<CasToken, ConnectionRef>();
  readonly #answerGet: Answer<unknown> = (replies, route, { key }) => this.answer(replies[0]!, route, key);

  constructor(core: Core) {
    this.#core = core;
  }

  get<T>(key: string, { signal }: CallOptions = NO_OPTIONS, strict = false): Promise<T | undefined> {
    const call = this.call<T>(key, strict);
    return signal === undefined ? this.#get(call) : abortable(signal, call, () => this.#get(call));
  }

  /** A new `get`, to be sent. @param wire where the key has been checked. @throws RingshiftError CLOSED, INVALID_KEY */
  call<T>(key: string, strict: boolean, wire = this.#core.wire(key)): Call<T | undefined> {
    const attempt = (route: Route, seen?: Exchanged) => this.#read<T>(call, route, seen);
    const call: Call<T | undefined> = this.#core.wireCall(wire, false, true, attempt, key);
    call.strict = strict;
    call.inChange = true;
    call.counts = true;
    return call;
  }

  /** What the reply to a `get` means. @throws RingshiftError PROTOCOL_ERROR when the value is not what its flags say */
  answer(reply: Reply, route: Route, key: string): unknown | typeof UNDECIDED {
    const core = this.#core;
    const found = reply.status === "VA" && reply.flags !== PLACEHOLDER_FLAGS;
    if (!found && !isMiss(reply, route)) return UNDECIDED;
    if (route.moving) core.session.counters.readsOfMovingKeys++;
    const value = found ? core.read(reply, key, route.node.name) : undefined;
    core.sawRead(key, found);
    return value;
  }

  /** `answer`, for the direct way. */
  answerGet<T>(): Answer<T | undefined> {
    return this.#answerGet as Answer<T | undefined>;
  }

  gets<T>(key: string, { signal }: CallOptions = NO_OPTIONS): Promise<Versioned<T> | undefined> {
    const core = this.#core;
    const call: Call<Versioned<T> | undefined> = core.call(key, false, true, async (route) => {
      const found = await read(core.session, route, "v f c");
      if (!call.abandoned) core.sawRead(key, found !== undefined); // else it counts as what was answered
      if (found === undefined) return undefined;
      const { reply, exchanged } = found;
      const incarnation = exchanged.fence?.incarnation ?? "";
      const cas: CasToken = Object.freeze({ node: route.node.name, incarnation, cas: reply.cas! });
      this.#connections.set(cas, exchanged.connection);
      return { value: core.read(reply, key, route.node.name) as T, cas };
    });
    call.counts = true;
    return abortable(signal, call, () => core.operate(call));
  }

  /** The connection that gave the token, when this client got it. */
  connectionOf(token: CasToken): ConnectionRef | undefined {
    return this.#connections.get(token);
  }

  getAndTouch<T>(key: string, ttl: number, { signal }: CallOptions = NO_OPTIONS): Promise<T | undefined> {
    const core = this.#core;
    const exptime = core.exptime(key, ttl);
    return core.run(key, signal, true, true, async (route) => {
      const reply = await mutate.getAndTouch(core.session, route, exptime, "v f c");
      core.sawRead(key, reply !== undefined);
      return reply && (core.read(reply, key, route.node.name) as T);
    });
  }

  meta(key: string, { signal }: CallOptions = NO_OPTIONS): Promise<ItemMeta | undefined> {
    const { session } = this.#core;
    return this.#core.run(key, signal, false, true, async (route) => {
      const found = await read(session, route, "t l s h f c u"); // u: not to count as a read
      return found && metaOf(found.reply);
    });
  }

  #get<T>(call: Call<T | undefined>): Promise<T | undefined> {
    const core = this.#core;
    const route = core.directRoute(call);
    const commands = [metaGet(call.wire, "v f")];
    return route === undefined
      ? core.direct.wait(call, commands, this.answerGet<T>(), core.codec.readsText)
      : core.direct.send(route, call, commands, this.answerGet<T>(), core.codec.readsText);
  }

  async #read<T>(call: Call<T | undefined>, route: Route, seen: Exchanged | undefined): Promise<T | undefined> {
    const core = this.#core;
    const found = await read(core.session, route, "v f c", undefined, seen);
    const value = found && (core.read(found.reply, call.key, route.node.name) as T);
    if (!call.abandoned) core.sawRead(call.key, found !== undefined);
    return value;
  }
}

/** Without a value at the new owner rule R goes on at the old one. */
function isMiss(reply: Reply, route: Route): boolean {
  if (route.kind === "dual") return false;
  return reply.status === "EN" || (reply.flags === PLACEHOLDER_FLAGS && standsAsMiss(route, reply));
}

function metaOf({ ttl, idle, size, hitBefore, flags }: Reply): ItemMeta {
  return {
    ttl: ttl === undefined || ttl < 0 ? undefined : ttl,
    lastAccess: idle ?? 0,
    size: size ?? 0,
    hitBefore: hitBefore ?? false,
    flags: flags ?? 0,
  };
}
