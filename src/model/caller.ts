/** A client process: the product's Client, called with random commands, and each call and answer taken down in the history. */
import { type CasToken, Client } from "../client/client.ts";
import type { OpenSession } from "../client/session.ts";
import { isRingshiftError } from "../errors.ts";
import type { Operation } from "./history.ts";
import { SimProcess } from "./process.ts";
import { COMMANDS, type Command } from "./profile.ts";

const OPTIONS = { timeoutMs: 5_000, retryAmbiguous: false };
/** Big tables are most of what making a client costs; and in small ones keys meet. */
const SETTINGS = { laneSlots: 4 };
/** Rejections that are promised to have had no effect. */
const WITHOUT_EFFECT = ["NODE_DOWN", "TIMEOUT", "REDIS_UNREACHABLE", "SERVER_ERROR", "VALUE_TOO_LARGE", "NOT_NUMERIC"];

export class Caller extends SimProcess {
  readonly #tokens = new Map<string, { readonly value: string; readonly token: CasToken }>();
  readonly #loading = new Set<string>();
  #client: Client | undefined;
  override readonly isCaller = true;
  done = false;

  /** Makes `calls` calls, some of them at once. */
  async work(calls: number): Promise<void> {
    const { random } = this.world;
    await this.openClient();
    for (let left = calls; left > 0; ) {
      await this.#think();
      const together = Math.min(left, random.chance(0.3) ? random.int(2, 3) : 1);
      await Promise.all(Array.from({ length: together }, () => this.#callAny()));
      left -= together;
    }
    this.done = true;
  }

  async openClient(): Promise<void> {
    const session = await this.open();
    // the client asks its pool for links only, and these are the simulated ones
    const open = { session, pool: this.transport, store: undefined, close: async () => {} };
    this.#client = new Client(open as unknown as OpenSession, OPTIONS, SETTINGS);
  }

  /** A last read; tried until it is answered. */
  async readAtLast(key: string): Promise<void> {
    for (let i = 0; i < 20; i++) if (await this.call("get", key)) return;
    this.world.count("unread");
  }

  /** Until something happens to the topology, or for a moment. */
  #think(): Promise<void> {
    const { world } = this;
    const { random, scheduler, profile } = world;
    if (profile.think > 0 && random.chance(0.7)) return this.clock.sleep(random.exponential(profile.think));
    if (random.chance(0.4)) return this.clock.sleep(random.exponential(15));
    const wait = random.exponential(world.weather.mean * random.pick([1, 3, 10]));
    return new Promise((resolve) =>
      world.publication(random.exponential(200), () => scheduler.after(wait, this, resolve)),
    );
  }

  async #callAny(): Promise<void> {
    const { random, plan, features, profile } = this.world;
    const key = random.pick(plan.keys);
    const none = { ...(features.cas ? {} : { gets: 0, cas: 0 }), ...(features.load ? {} : { load: 0 }) };
    let command = random.weighted<Command>({ ...COMMANDS, ...profile.weights, ...none });
    if (features.fresh && random.chance(0.6)) command = "get";
    if (command === "cas" && !this.#tokens.has(key)) command = "gets";
    if (command === "load" && this.#loading.has(key)) command = "get"; // calls of one process would share one load
    if (command === "load") await this.#load(key);
    else if (command === "getMulti" || command === "deleteMulti") await this.#multi(command, plan.keys);
    else await this.call(command, key);
  }

  /** True when it was answered. */
  async call(command: Command, key: string): Promise<boolean> {
    const { history } = this.world;
    const operation = this.#begin(command, key);
    const end = this.#busy(command, [key]);
    try {
      const answer = await this.#ask(command, key, operation);
      this.#answered(operation, answer);
      return true;
    } catch (error) {
      if (codeOf(error, operation) === "AMBIGUOUS_WRITE") history.ambiguous++;
      else this.#withdraw(operation, error);
      return false;
    } finally {
      end();
    }
  }

  /** All keys in one call: what goes to one server leaves in one flush. */
  async #multi(command: "getMulti" | "deleteMulti", keys: readonly string[]): Promise<void> {
    const operations = keys.map((key) => this.#begin(command === "getMulti" ? "get" : "delete", key));
    const failed = new Map<string, Error>();
    const end = this.#busy(command, keys);
    const answers: ReadonlyMap<string, string | boolean> = await this.#client![command]<string>(keys, {
      failed: failed as never,
    });
    for (const operation of operations) {
      const error = failed.get(operation.key);
      if (error === undefined) this.#answered(operation, answers.get(operation.key));
      else if (codeOf(error, operation) === "AMBIGUOUS_WRITE") this.world.history.ambiguous++;
      else this.#withdraw(operation, error);
    }
    end();
  }

  /** `getOrSet`: a read, and where nothing was found what is loaded, which may come to be stored. */
  async #load(key: string): Promise<void> {
    const { world, clock } = this;
    const { history, random } = world;
    const read = history.begin(`${this.name}+`, "get", key); // looks again and again: not in the order of the other calls
    this.#loading.add(key);
    let loaded = false;
    const load = async () => {
      loaded = true;
      this.#answered(read, undefined);
      const { value } = history.begin(`${this.name}+`, "fill", key, world.newValue());
      world.scheduler.note(() => `${this.name} LOADS ${key} ${value}`);
      await clock.sleep(random.exponential(random.pick([5, 50, 1_000])));
      return value;
    };
    try {
      const value = await this.#client!.getOrSet<string>(key, this.#ttl(), load);
      if (!loaded) this.#answered(read, value);
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      if (!loaded) this.#withdraw(read, error);
    } finally {
      this.#loading.delete(key);
    }
  }

  #begin(command: Command, key: string): Operation {
    const { history, random, scheduler } = this.world;
    const kind = command === "gets" || command === "gat" ? "get" : (command as Operation["kind"]);
    let value = "";
    if (["set", "add", "replace", "cas"].includes(kind)) value = this.world.newValue();
    else if (kind === "append" || kind === "prepend") value = String(random.int(1, 9));
    else if (kind === "incr" || kind === "decr") value = "1";
    const expected = kind === "cas" ? this.#tokens.get(key)!.value : undefined;
    const operation = history.begin(this.name, kind, key, value, expected);
    scheduler.note(() => `${this.name} CALL ${command} ${key} ${value} [${operation.asked}]`);
    return operation;
  }

  #answered(operation: Operation, answer: Operation["answer"]): void {
    this.world.expire();
    this.world.history.end(operation, answer);
    const { kind, key, asked } = operation;
    this.world.scheduler.note(() => `${this.name} ANSWER ${kind} ${key} ${JSON.stringify(answer)} [${asked}]`);
  }

  /** @throws when the rejection is not one that promises that nothing has happened */
  #withdraw(operation: Operation, error: unknown): void {
    const code = codeOf(error, operation);
    if (!WITHOUT_EFFECT.includes(code)) throw new Error(`${operation.kind} ${operation.key}`, { cause: error });
    this.world.scheduler.note(() => `${this.name} REJECTED ${operation.key} ${code} [${operation.asked}]`);
    this.world.history.withdraw(operation);
    this.world.count(code);
  }

  /** Until the function returned is called, the keys are known to be read or deleted for a caller (see `deleting`). */
  #busy(command: Command, keys: readonly string[]): () => void {
    const busy = command.startsWith("delete") ? this.deleting : command.startsWith("get") ? this.reading : undefined;
    for (const key of keys) busy?.set(key, (busy.get(key) ?? 0) + 1);
    return () => {
      for (const key of keys) {
        if (busy?.get(key) === 1) busy.delete(key);
        else busy?.set(key, busy.get(key)! - 1);
      }
    };
  }

  async #ask(command: Command, key: string, { value }: Operation): Promise<Operation["answer"]> {
    const client = this.#client!;
    const options = { ttl: this.#ttl() };
    switch (command) {
      case "get":
        return client.get<string>(key);
      case "gets": {
        const found = await client.gets<string>(key);
        if (found === undefined) this.#tokens.delete(key);
        else this.#tokens.set(key, { value: found.value, token: found.cas });
        return found?.value;
      }
      case "gat":
        return client.gat<string>(key, options.ttl);
      case "set":
      case "add":
      case "replace":
        return client[command](key, value, options);
      case "cas":
        return client.cas(key, value, this.#tokens.get(key)!.token, options);
      case "append":
      case "prepend":
        return client[command](key, value);
      case "incr":
      case "decr":
        return client[command](key, 1);
      case "delete":
        return client.delete(key);
      case "touch":
        return client.touch(key, options.ttl);
      default:
        throw new Error(`${command} is not a call on one key`);
    }
  }

  #ttl(): number {
    const { random, features } = this.world;
    return features.ttl && random.chance(0.3) ? random.int(1, 4) : 0;
  }
}

/** @throws what is no rejection of the product's */
function codeOf(error: unknown, { kind, key, asked }: Operation): string {
  if (isRingshiftError(error)) return error.code;
  throw new Error(`${kind} ${key} [${asked}]`, { cause: error });
}
