/** A client process: the product's Client, called with random commands, and each call and answer taken down in the history. */
import { type CasToken, Client } from "../client/client.ts";
import type { OpenSession } from "../client/session.ts";
import { isRingshiftError } from "../errors.ts";
import type { Kind, Operation } from "./history.ts";
import { SimProcess } from "./process.ts";

const OPTIONS = { timeoutMs: 5_000, retryAmbiguous: false };
/** Rejections that are promised to have had no effect. */
const WITHOUT_EFFECT = ["NODE_DOWN", "TIMEOUT", "REDIS_UNREACHABLE", "SERVER_ERROR", "VALUE_TOO_LARGE"];

const WEIGHTS = {
  get: 6,
  gets: 2,
  set: 4,
  add: 1,
  replace: 1,
  append: 1.5,
  prepend: 0.5,
  delete: 2,
  incr: 2,
  decr: 0.5,
  cas: 3,
  touch: 1,
};

type Command = keyof typeof WEIGHTS;

export class Caller extends SimProcess {
  readonly #tokens = new Map<string, { readonly value: string; readonly token: CasToken }>();
  #client: Client | undefined;
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
    this.#client = new Client(open as unknown as OpenSession, OPTIONS);
  }

  /** A last read; tried until it is answered. */
  async readAtLast(key: string): Promise<void> {
    for (let i = 0; i < 20; i++) if (await this.call("get", key)) return;
    this.world.count("unread");
  }

  /** Until something happens to the topology, or for a moment. */
  #think(): Promise<void> {
    const { world } = this;
    const { random, scheduler } = world;
    if (random.chance(0.4)) return this.clock.sleep(random.exponential(15));
    const wait = random.exponential(world.weather.mean * random.pick([1, 3, 10]));
    return new Promise((resolve) =>
      world.publication(random.exponential(200), () => scheduler.after(wait, this, resolve)),
    );
  }

  #callAny(): Promise<boolean> {
    const { random, plan, features } = this.world;
    const key = random.pick(plan.keys);
    let command = random.weighted<Command>(features.cas ? WEIGHTS : { ...WEIGHTS, gets: 0, cas: 0 });
    if (features.fresh && random.chance(0.6)) command = "get";
    if (command === "cas" && !this.#tokens.has(key)) command = "gets";
    return this.call(command, key);
  }

  /** True when it was answered. */
  async call(command: Command, key: string): Promise<boolean> {
    const { history } = this.world;
    const operation = this.#begin(command, key);
    const busy = command === "delete" ? this.deleting : command.startsWith("get") ? this.reading : undefined;
    busy?.set(key, (busy.get(key) ?? 0) + 1);
    this.world.scheduler.note(() => `${this.name} CALL ${command} ${key} ${operation.value} [${operation.asked}]`);
    try {
      const answer = await this.#ask(command, key, operation);
      this.world.expire();
      history.end(operation, answer);
      this.world.scheduler.note(
        () => `${this.name} ANSWER ${command} ${key} ${JSON.stringify(answer)} [${operation.asked}]`,
      );
      return true;
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      this.world.scheduler.note(() => `${this.name} REJECTED ${command} ${key} ${error.code} [${operation.asked}]`);
      if (error.code === "AMBIGUOUS_WRITE") {
        history.ambiguous++;
      } else {
        if (!WITHOUT_EFFECT.includes(error.code))
          throw new Error(`${command} ${key} [${operation.asked}]`, { cause: error });
        history.withdraw(operation);
        this.world.count(error.code);
      }
      return false;
    } finally {
      if (busy?.get(key) === 1) busy.delete(key);
      else busy?.set(key, busy.get(key)! - 1);
    }
  }

  #begin(command: Command, key: string): Operation {
    const { history, random } = this.world;
    const kind: Kind = command === "gets" ? "get" : command;
    let value = "";
    if (["set", "add", "replace", "cas"].includes(kind)) value = this.world.newValue();
    else if (kind === "append" || kind === "prepend") value = String(random.int(1, 9));
    else if (kind === "incr" || kind === "decr") value = "1";
    return history.begin(this.name, kind, key, value, kind === "cas" ? this.#tokens.get(key)!.value : undefined);
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
    }
  }

  #ttl(): number {
    const { random, features } = this.world;
    return features.ttl && random.chance(0.3) ? random.int(1, 4) : 0;
  }
}
