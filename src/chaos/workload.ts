/** What a client process does: a random command on a random key, logged, again and again. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CasToken, Client } from "../client/client.ts";
import { isRingshiftError, type RingshiftError } from "../errors.ts";
import type { Random } from "../model/random.ts";
import { type Call, isWrite, type Outcome, type Result, type Verb } from "./history.ts";
import type { JournalWriter } from "./journal.ts";
import { type Kind, keyAt, shown } from "./keys.ts";
import { COMMANDS, type Commands, STALKING, textFor } from "./mix.ts";
import { contentOf } from "./values.ts";

/** Keys that are tried for one that is moving; the hot ones first, so that clients meet at the same. */
const STALKED = 10;
/** Part of the calls that go to the first tenth of the keys. */
const HOT_SHARE = 0.6;
/** Texts that have grown to this are set anew, characters. */
const TEXT_LIMIT = 300;
/** So large that a counter's value tells which of the increments of unknown effect are in it. */
const MAX_DELTA = 1_000_000;
const BATCH = { least: 3, most: 12 };
const MAX_SMALL = 200;
const MAX_LARGE = 40_000;
const LARGE_SHARE = 0.04;
/** Seconds: some die during the run, some outlive a few moves, one kind never expires. */
const TTLS = [0, 8, 20, 45, 120, 600, 3_000_000] as const;
/** After a call that was rejected: a server that is away is not asked in a busy loop, nor does it leave more unknown effects than can be followed. */
const REJECTED_MS = 100;

export interface WorkloadOptions {
  readonly rings: ReadonlyMap<string, Client>;
  readonly journal: JournalWriter;
  readonly random: Random;
  readonly clock: () => number;
  /** Process and life: with a number behind it every token is unique. */
  readonly name: string;
  /** Keys of each ring. */
  readonly keys: number;
  readonly timeoutMs: number;
}

type Made<T> = { readonly outcome: Outcome; readonly value: T | undefined };

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #rings: readonly (readonly [string, Client])[];
  #calls = 0;
  #tokens = 0;
  #stopped = false;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#rings = [...options.rings];
  }

  /**
   * Calls one after the other, with random pauses of `pauseMs` on average, until `stop`.
   * @param stalks prefers keys that are moving, where there are any
   */
  async run(pauseMs: number, stalks: boolean): Promise<void> {
    const { random } = this.#options;
    while (!this.#stopped) {
      const [ring, client] = random.pick(this.#rings);
      const prey = stalks ? this.#movingKey(client) : undefined;
      const rejected = await this.#step(
        ring,
        client,
        prey ?? this.#pickKey(),
        prey === undefined ? COMMANDS : STALKING,
      );
      await sleep(random.exponential(pauseMs) + (rejected ? REJECTED_MS : 0));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Reads every key once. */
  async readAll(): Promise<void> {
    for (const [ring, client] of this.#rings) {
      for (let index = 0; index < this.#options.keys; index++) await this.#read(ring, client, keyAt(index), "get");
    }
  }

  #movingKey(client: Client): string | undefined {
    for (let tries = 0; tries < STALKED; tries++) {
      const key = this.#pickKey();
      if (client.locate(key).movingFrom !== undefined) return key;
    }
    return undefined;
  }

  #pickKey(): string {
    const { random, keys } = this.#options;
    return keyAt(random.int(0, (random.chance(HOT_SHARE) ? Math.ceil(keys / 10) : keys) - 1));
  }

  /** True when it was rejected. */
  async #step(ring: string, client: Client, key: string, commands: Commands): Promise<boolean> {
    const verb = this.#options.random.weighted(commands[key[0] as Kind]);
    switch (verb) {
      case "getMulti":
        return this.#getMulti(ring, client);
      case "setMulti":
        return this.#setMulti(ring, client);
      case "get": {
        const { outcome, value } = await this.#read(ring, client, key, verb);
        const full = key[0] === "t" && typeof value === "string" && value.length > TEXT_LIMIT;
        if (full) await this.#write(ring, client, key, "set");
        return outcome !== "ok";
      }
      case "getMeta":
        return (await this.#read(ring, client, key, verb)).outcome !== "ok";
      case "gets":
      case "cas":
        return this.#getsAndCas(ring, client, key, verb === "cas");
      default:
        return (await this.#write(ring, client, key, verb as Verb)).outcome !== "ok";
    }
  }

  #read(ring: string, client: Client, key: string, verb: "get" | "getMeta"): Promise<Made<unknown>> {
    const call = this.#begin(ring, client, key, verb, {});
    if (verb === "get") {
      return this.#made(
        call,
        () => client.get(key),
        (value) => shown(key, value),
      );
    }
    return this.#made(
      call,
      () => client.getMeta(key),
      (meta) => (meta === undefined ? null : (meta.ttl ?? -1)),
    );
  }

  async #getsAndCas(ring: string, client: Client, key: string, cas: boolean): Promise<boolean> {
    let token: CasToken | undefined;
    const call = this.#begin(ring, client, key, "gets", {});
    const { outcome, value } = await this.#made(
      call,
      () => client.gets(key),
      (found) => {
        token = found?.cas;
        return found === undefined ? null : shown(key, found.value);
      },
    );
    if (outcome !== "ok" || !cas || token === undefined || value === undefined) return outcome !== "ok";
    const text = this.#text(key);
    const expected = shown(key, value.value) as string;
    const second = this.#begin(ring, client, key, "cas", { text, expected });
    const content = this.#content(key, text);
    const made = await this.#made(second, () => client.cas(key, content, token!), same);
    return made.outcome !== "ok";
  }

  async #write(ring: string, client: Client, key: string, verb: Verb): Promise<Made<unknown>> {
    const { random } = this.#options;
    const ttl = key[0] === "e" && verb !== "delete" ? random.pick(TTLS) : 0;
    const delta = verb === "incr" || verb === "decr" ? random.int(1, MAX_DELTA) : 0;
    const text = textFor(verb, () => this.#text(key));
    const call = this.#begin(ring, client, key, verb, { text, ttl, delta });
    switch (verb) {
      case "set":
      case "add":
      case "replace":
        return this.#made<boolean>(call, () => client[verb](key, this.#content(key, text), { ttl }), same);
      case "append":
      case "prepend":
        return this.#made(call, () => client[verb](key, text), same);
      case "incr":
      case "decr":
        return this.#made(
          call,
          () => client[verb](key, delta, { initial: Number(text) }),
          (count) => count ?? null,
        );
      case "touch":
        return this.#made(call, () => client.touch(key, ttl), same);
      case "gat":
        return this.#made(
          call,
          () => client.gat(key, ttl),
          (value) => shown(key, value),
        );
      default:
        return this.#made(call, () => client.delete(key), same);
    }
  }

  async #getMulti(ring: string, client: Client): Promise<boolean> {
    const keys = this.#batchOfKeys();
    const calls = keys.map((key) => this.#begin(ring, client, key, "get", {}));
    const failed = new Map<string, RingshiftError>();
    const found = await client.getMulti(keys, { failed });
    const at = this.#options.clock();
    for (const [i, call] of calls.entries()) {
      const key = keys[i]!;
      const error = failed.get(key);
      if (error === undefined) this.#options.journal.answer(call, at, "ok", shown(key, found.get(key)), "");
      else this.#options.journal.answer(call, at, this.#outcomeOf(call, error, at), null, error.code);
    }
    return failed.size > 0;
  }

  async #setMulti(ring: string, client: Client): Promise<boolean> {
    const keys = this.#batchOfKeys();
    const calls = keys.map((key) => this.#begin(ring, client, key, "set", { text: this.#text(key) }));
    const entries = calls.map((call, i) => [keys[i]!, this.#content(keys[i]!, call.text)] as const);
    let failed: ReadonlyMap<string, RingshiftError> = new Map();
    try {
      await client.setMulti(entries);
    } catch (error) {
      if (!isRingshiftError(error) || error.failed === undefined) throw error;
      failed = error.failed;
    }
    const at = this.#options.clock();
    for (const [i, call] of calls.entries()) {
      const error = failed.get(keys[i]!);
      if (error === undefined) this.#options.journal.answer(call, at, "ok", true, "");
      else this.#options.journal.answer(call, at, this.#outcomeOf(call, error, at), null, error.code);
    }
    return failed.size > 0;
  }

  /** Keys with plain values, each once. */
  #batchOfKeys(): string[] {
    const { random } = this.#options;
    const wanted = random.int(BATCH.least, BATCH.most);
    const keys = new Set<string>();
    for (let tries = 0; keys.size < wanted && tries < wanted * 20; tries++) {
      const key = this.#pickKey();
      if (key[0] === "v") keys.add(key);
    }
    return [...keys];
  }

  #begin(
    ring: string,
    client: Client,
    key: string,
    verb: Verb,
    { text = "", ttl = 0, delta = 0, expected = "" }: Partial<Pick<Call, "text" | "ttl" | "delta" | "expected">>,
  ): Call {
    const { clock, journal } = this.#options;
    const moving = client.locate(key).movingFrom !== undefined;
    const id = ++this.#calls;
    const call: Call = { id, at: clock(), key: `${ring}/${key}`, verb, text, ttl, delta, expected, moving };
    journal.call(call);
    return call;
  }

  /** Runs the call and logs what came of it. */
  async #made<T>(call: Call, run: () => Promise<T>, resultOf: (value: T) => Result): Promise<Made<T>> {
    const { clock, journal } = this.#options;
    try {
      const value = await run();
      journal.answer(call, clock(), "ok", resultOf(value), "");
      return { outcome: "ok", value };
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      const at = clock();
      const outcome = this.#outcomeOf(call, error, at);
      journal.answer(call, at, outcome, null, error.code);
      return { outcome, value: undefined };
    }
  }

  #outcomeOf(call: Call, error: RingshiftError, at: number): Outcome {
    if (!isWrite(call.verb)) return "none";
    if (error.code === "SERVER_ERROR") return "refused";
    if (error.code === "AMBIGUOUS_WRITE") {
      const byFence = error.cause === undefined && at - call.at < this.#options.timeoutMs;
      return byFence ? "fence" : "io";
    }
    // these are asked again like reads, and one that was not answered may have run
    if (call.verb === "touch" || call.verb === "gat") return "io";
    return "none";
  }

  /** What no other call writes. */
  #text(key: string): string {
    const token = `${this.#options.name}.${++this.#tokens}`;
    return key[0] === "t" ? `[${token}]` : token;
  }

  #content(key: string, text: string): string {
    if (key[0] === "t") return text;
    const { random } = this.#options;
    return contentOf(text, random.chance(LARGE_SHARE) ? random.int(MAX_SMALL, MAX_LARGE) : random.int(0, MAX_SMALL));
  }
}

function same(value: boolean): Result {
  return value;
}
