/**
 * A simulated Memcached: items with value, client flags, expiry and CAS number, and the commands that `memcached/commands.ts` builds, as
 * memcached 1.6.18 answers them (docs/protocol.md, Facts). Its clock has whole seconds. Each call of `execute` is one step: commands
 * of other connections may run between any two of one flush.
 */

import { MAX_RELATIVE_TTL_S } from "../memcached/commands.ts";
import type { Command, Reply } from "../memcached/exchange.ts";
import type { Owner } from "./scheduler.ts";
import { addDelta } from "./texts.ts";

export interface Item {
  readonly value: Buffer;
  readonly flags: number;
  /** Second of the server's clock at which it is gone; 0: never. */
  readonly expiresAt: number;
  readonly cas: number;
}

/** Seconds since 1970 at virtual time 0. */
export const EPOCH_SECONDS = 1_790_000_000;

export class SimServer {
  readonly name: string;
  readonly items = new Map<string, Item>();
  /** Grows with each restart; connections of an older process are broken. */
  boot = 0;
  /** Not to be connected to before this time. */
  downUntil = 0;
  /** The one process that reaches it, where the others do not. */
  reachedBy: Owner | undefined;
  /** Stopped (SIGSTOP) until this time. */
  stalledUntil = 0;
  /** Values of more bytes are refused as too large. */
  itemLimit = Number.POSITIVE_INFINITY;
  readonly #now: () => number;
  /** What its clock is ahead of the scheduler's, ms. */
  readonly offset: number;
  readonly #lost: (server: SimServer, key: string, item: Item) => void;
  #cas = 0;

  /** @param lost told of every item that goes without a command having asked for it */
  constructor(
    name: string,
    now: () => number,
    offset: number,
    lost: (server: SimServer, key: string, item: Item) => void,
  ) {
    this.name = name;
    this.#now = now;
    this.offset = offset;
    this.#lost = lost;
  }

  /** The server's clock. */
  get second(): number {
    return EPOCH_SECONDS + Math.floor((this.#now() + this.offset) / 1000);
  }

  /** The process cannot connect to it, whatever others can. */
  isDownFor(owner: Owner): boolean {
    return this.downUntil > this.#now() || (this.reachedBy !== undefined && this.reachedBy !== owner);
  }

  /** Eviction, expiry, or a flush. */
  drop(key: string): void {
    const item = this.items.get(key);
    if (item === undefined) return;
    this.items.delete(key);
    this.#lost(this, key, item);
  }

  flush(): void {
    for (const key of [...this.items.keys()]) this.drop(key);
  }

  restart(): void {
    this.flush();
    this.#cas = 0;
    this.boot++;
  }

  expire(): void {
    const { second } = this;
    for (const [key, item] of this.items) if (item.expiresAt !== 0 && item.expiresAt <= second) this.drop(key);
  }

  execute({ line, data }: Command): Reply {
    const [verb, key = "", ...rest] = line.split(" ");
    if (verb === "mn") return reply("MN");
    const item = this.#live(key);
    switch (verb) {
      case "mg":
        return this.#metaGet(key, item, rest);
      case "ms":
        return this.#metaSet(key, item, rest, data!);
      case "md":
        return this.#metaDelete(key, item, rest);
      case "ma":
        return this.#metaArithmetic(key, item, rest);
      default:
        return this.#classic(verb!, key, item, rest, data!);
    }
  }

  #live(key: string): Item | undefined {
    const item = this.items.get(key);
    if (item !== undefined && item.expiresAt !== 0 && item.expiresAt <= this.second) {
      this.drop(key);
      return undefined;
    }
    return item;
  }

  /** ringshift's own items are small enough for the smallest limit that memcached takes. */
  #isTooLarge(key: string, data: Buffer): boolean {
    return data.length > this.itemLimit && !key.startsWith("ringshift:");
  }

  #put(key: string, value: Buffer, flags: number, expiresAt: number): void {
    this.items.set(key, { value, flags, expiresAt, cas: ++this.#cas });
  }

  #expiry(exptime: number): number {
    if (exptime === 0) return 0;
    if (exptime < 0) return 1;
    return exptime > MAX_RELATIVE_TTL_S ? exptime : this.second + exptime;
  }

  #metaGet(key: string, item: Item | undefined, flags: readonly string[]): Reply {
    if (item === undefined) return reply("EN");
    const touch = flags.find((flag) => flag[0] === "T");
    let shown = item;
    if (touch !== undefined) {
      shown = { ...item, expiresAt: this.#expiry(Number(touch.slice(1))) };
      if (shown.expiresAt === 0 || shown.expiresAt > this.second) this.items.set(key, shown);
      else this.items.delete(key); // ended by a command, so no loss
    }
    return {
      ...EMPTY,
      status: flags.includes("v") ? "VA" : "HD",
      value: flags.includes("v") ? shown.value : undefined,
      flags: flags.includes("f") ? shown.flags : undefined,
      cas: flags.includes("c") ? String(shown.cas) : undefined,
      size: flags.includes("s") ? shown.value.length : undefined,
      ttl: flags.includes("t") ? (shown.expiresAt === 0 ? -1 : shown.expiresAt - this.second) : undefined,
    };
  }

  #metaSet(key: string, item: Item | undefined, [, ...flags]: readonly string[], data: Buffer): Reply {
    const options = new Map(flags.map((flag) => [flag[0], flag.slice(1)]));
    if (this.#isTooLarge(key, data)) {
      this.drop(key); // a failing `ms` deletes the item that was there
      return { ...reply("SERVER_ERROR"), message: "object too large for cache" };
    }
    const mode = options.get("M") ?? "S";
    const cas = options.get("C");
    if (mode === "E" && item !== undefined) return reply("NS");
    if (item === undefined && mode !== "S" && mode !== "E" && !(mode === "R" && cas !== undefined)) return reply("NS");
    if (cas !== undefined) {
      if (item === undefined) return reply("NF");
      if (String(item.cas) !== cas) return reply("EX");
    }
    if (mode === "A") this.#put(key, Buffer.concat([item!.value, data]), item!.flags, item!.expiresAt);
    else if (mode === "P") this.#put(key, Buffer.concat([data, item!.value]), item!.flags, item!.expiresAt);
    else this.#put(key, data, Number(options.get("F") ?? 0), this.#expiry(Number(options.get("T") ?? 0)));
    return options.has("c") ? { ...reply("HD"), cas: String(this.#cas) } : reply("HD");
  }

  #metaDelete(key: string, item: Item | undefined, flags: readonly string[]): Reply {
    if (item === undefined) return reply("NF");
    const cas = flags.find((flag) => flag[0] === "C");
    if (cas !== undefined && cas.slice(1) !== String(item.cas)) return reply("EX");
    this.items.delete(key);
    return reply("HD");
  }

  #metaArithmetic(key: string, item: Item | undefined, flags: readonly string[]): Reply {
    if (item === undefined) return reply("NF");
    const delta = BigInt(flags.find((flag) => flag[0] === "D")!.slice(1));
    const text = addDelta(item.value.toString("latin1"), delta, flags.includes("MD"));
    if (text === undefined) {
      return { ...reply("CLIENT_ERROR"), message: "cannot increment or decrement non-numeric value" };
    }
    const value = Buffer.from(text, "latin1");
    this.#put(key, value, item.flags, item.expiresAt);
    return { ...reply("VA"), value: Buffer.from(text.trimEnd(), "latin1") };
  }

  #classic(verb: string, key: string, item: Item | undefined, rest: readonly string[], data: Buffer): Reply {
    const [flags, exptime, , cas] = rest;
    if (this.#isTooLarge(key, data)) {
      if (verb === "set") this.drop(key);
      return { ...reply("SERVER_ERROR"), message: "object too large for cache" };
    }
    switch (verb) {
      case "add":
        if (item !== undefined) return reply("NOT_STORED");
        break;
      case "append":
        if (item === undefined) return reply("NOT_STORED");
        this.#put(key, Buffer.concat([item.value, data]), item.flags, item.expiresAt);
        return reply("STORED");
      case "cas":
        if (item === undefined) return reply("NOT_FOUND");
        if (String(item.cas) !== cas) return reply("EXISTS");
        break;
      case "set":
        break;
      default:
        throw new Error(`the simulated server does not know ${verb}`);
    }
    this.#put(key, data, Number(flags), this.#expiry(Number(exptime)));
    return reply("STORED");
  }
}

/** Nothing but a status. */
export const EMPTY: Reply = {
  status: "",
  value: undefined,
  flags: undefined,
  cas: undefined,
  ttl: undefined,
  size: undefined,
  won: false,
  stale: false,
  message: "",
};

const bare = new Map<string, Reply>();

/** The same object for the same status: most replies are nothing else. */
function reply(status: string): Reply {
  let known = bare.get(status);
  if (known === undefined) {
    known = Object.freeze({ ...EMPTY, status });
    bare.set(status, known);
  }
  return known;
}
