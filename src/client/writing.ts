/** The commands that change values. */
import { RingshiftError, shown } from "../errors.ts";
import { metaArithmetic } from "../memcached/commands.ts";
import type { Reply } from "../memcached/exchange.ts";
import { expect } from "../protocol/attempt.ts";
import * as mutate from "../protocol/mutate.ts";
import { Retry } from "../protocol/outcome.ts";
import { removal, remove, removed } from "../protocol/remove.ts";
import type { Item } from "../protocol/store.ts";
import type { Route } from "../protocol/view.ts";
import { abortable } from "./bound.ts";
import { encode } from "./codec.ts";
import type { Core } from "./core.ts";
import { extendCompressed, extendInPlace } from "./extend-compressed.ts";
import type { Call } from "./operate.ts";
import type { Reader } from "./reading.ts";
import type { Running } from "./running.ts";
import { UNDECIDED } from "./sent.ts";
import { Storing } from "./storing.ts";
import type { CallOptions, CasToken, CountOptions, WriteOptions } from "./types.ts";

const MAX_U64 = 2n ** 64n - 1n;
const MAX_ROUNDS = 200;

export class Writer {
  readonly #core: Core;
  readonly #reader: Reader;
  readonly #storing: Storing;
  /** Told of every call that may change a value, before it begins. */
  readonly #running: Running;

  constructor(core: Core, reader: Reader, running: Running) {
    this.#core = core;
    this.#reader = reader;
    this.#running = running;
    this.#storing = new Storing(core);
  }

  set(key: string, value: unknown, options: WriteOptions): Promise<true> {
    const { session } = this.#core;
    const item = this.#core.item(key, value, options);
    const call: Call<true> = this.#core.call(key, true, true, (route) => mutate.set(session, route, item));
    call.inChange = true;
    this.#running.forget(key);
    if (options.signal === undefined) return this.#storing.send(call, item);
    return abortable(options.signal, call, () => this.#storing.send(call, item));
  }

  /** A `set` that is checked, to be sent by calling what is returned. */
  preparedSet(key: string, value: unknown, options: WriteOptions): () => Promise<true> {
    const core = this.#core;
    const { session } = core;
    const item = core.item(key, value, options);
    const call: Call<true> = core.call(key, true, true, (route) => mutate.set(session, route, item));
    call.inChange = true;
    const send = () => {
      this.#running.forget(key);
      return this.#storing.send(call, item);
    };
    return options.signal === undefined ? send : () => abortable(options.signal, call, send);
  }

  add(key: string, value: unknown, options: WriteOptions): Promise<boolean> {
    const { session } = this.#core;
    const item = this.#core.item(key, value, options);
    this.#running.forget(key);
    return this.#core.run(key, options.signal, true, false, (route) => mutate.add(session, route, item));
  }

  replace(key: string, value: unknown, options: WriteOptions): Promise<boolean> {
    const { session } = this.#core;
    const item = this.#core.item(key, value, options);
    this.#running.forget(key);
    return this.#core.run(key, options.signal, true, false, (route) => mutate.replace(session, route, item));
  }

  cas(key: string, value: unknown, token: CasToken, options: WriteOptions): Promise<boolean> {
    const { session } = this.#core;
    const item = this.#core.item(key, value, options);
    if (typeof token?.cas !== "string") {
      throw new RingshiftError("INVALID_OPTION", "cas needs the token that gets answered: cas(key, value, token).", {
        key,
      });
    }
    this.#running.forget(key);
    return this.#core.run(key, options.signal, true, false, async (route) => {
      if (token.node !== route.node.name) return false;
      return mutate.compareAndSet(session, route, item, { ...token, connection: this.#reader.connectionOf(token) });
    });
  }

  extend(key: string, data: string | Uint8Array, mode: "A" | "P", { signal }: CallOptions): Promise<boolean> {
    const { session, codec } = this.#core;
    const bytes = bytesOf(key, data);
    this.#running.forget(key);
    return this.#core.run(key, signal, true, false, (route) =>
      codec.compresses ? extendCompressed(session, route, bytes, mode) : extendInPlace(session, route, bytes, mode),
    );
  }

  remove(key: string, { signal }: CallOptions): Promise<boolean> {
    const core = this.#core;
    const call: Call<boolean> = core.call(key, true, true, (route) => remove(core.session, route));
    this.#running.forget(key);
    const send = () => {
      const route = core.directRoute(call);
      return route === undefined ? core.operate(call) : core.direct.send(route, call, removal(call.wire), answerRemove);
    };
    return signal === undefined ? send() : abortable(signal, call, send);
  }

  touch(key: string, ttl: number, { signal }: CallOptions): Promise<boolean> {
    const exptime = this.#core.exptime(key, ttl);
    return this.#core.run(key, signal, true, true, (route) => mutate.touch(this.#core.session, route, exptime));
  }

  async count(
    key: string,
    delta: number | bigint,
    decrement: boolean,
    options: CountOptions,
  ): Promise<number | bigint | undefined> {
    const core = this.#core;
    const whole = wholeNumber(key, "delta", delta);
    const first = options.initial === undefined ? undefined : this.#initial(key, options.initial, options.ttl ?? 0);
    const attempt = async (route: Route): Promise<string | undefined> => {
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const text = await mutate.arithmetic(core.session, route, whole, decrement);
        if (text !== undefined || first === undefined) return text;
        if (await mutate.add(core.session, route, first)) return first.data.toString("latin1");
      }
      throw new Retry();
    };
    const call: Call<string | undefined> = core.call(key, true, false, attempt);
    this.#running.forget(key);
    const send = () => {
      const route = core.directRoute(call);
      const command = metaArithmetic(call.wire, { delta: whole, decrement });
      return route === undefined
        ? core.operate(call)
        : core.direct.send(route, call, [command], first === undefined ? answerCount : answerCountOrCreate);
    };
    const text = await (options.signal === undefined ? send() : abortable(options.signal, call, send));
    if (text === undefined) return undefined;
    return options.bigint ? BigInt(text) : Number(text);
  }

  /** A counter's first value: flagged as a number, or as a bigint where it was given as one. Memcached counts on it, so no serializer has it. */
  #initial(key: string, initial: number | bigint, ttl: number): Item {
    wholeNumber(key, "initial", initial);
    return { ...encode(initial, key), exptime: this.#core.exptime(key, ttl) };
  }
}

function wholeNumber(key: string, name: string, value: number | bigint): bigint {
  const whole = typeof value === "bigint" ? value : Number.isSafeInteger(value) ? BigInt(value) : -1n;
  if (whole < 0n || whole > MAX_U64) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `The ${name} is a whole number from 0 to 2^64-1 (above 2^53 as a bigint), not ${shown(value)}.`,
      { key },
    );
  }
  return whole;
}

function bytesOf(key: string, data: string | Uint8Array): Buffer {
  if (typeof data === "string") return encode(data, key).data; // refuses what UTF-8 cannot express
  if (data instanceof Uint8Array) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  throw new RingshiftError("INVALID_VALUE", "append and prepend take a string or bytes.", { key });
}

function answerRemove(replies: readonly Reply[], route: Route): boolean {
  return removed(route, replies);
}

function answerCount([reply]: readonly Reply[], route: Route): string | undefined | typeof UNDECIDED {
  const status = expect(route, reply!, "VA", "NF", "CLIENT_ERROR");
  if (status === "CLIENT_ERROR") return UNDECIDED;
  return status === "NF" ? undefined : reply!.value!.toString("latin1").trim();
}

function answerCountOrCreate(replies: readonly Reply[], route: Route): string | typeof UNDECIDED {
  return answerCount(replies, route) ?? UNDECIDED;
}
