/**
 * A client against a scripted server that keeps items but does with its replies what no server should: cuts them anywhere and closes,
 * resets, falls silent, mixes garbage in. Two things have to hold: every promise settles in its time, and no answer is a wrong one
 * (history.ts). Garbage is noise, not a well-formed reply to another question: that nothing in the protocol tells apart.
 */

import type { Socket } from "node:net";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { Random } from "../model/random.ts";
import { startMemcached } from "../testing/local-cluster.ts";
import { MemoryMemcached } from "../testing/memory-script.ts";
import { ScriptedServer, type Step } from "../testing/scripted-server.ts";
import { BinaryProxy } from "./binary-proxy.ts";
import { type Call, KeyHistory, type Outcome } from "./history.ts";

const KEYS = 8;
const CALLS_A_ROUND = 40;
const IO_TIMEOUT_MS = 100;
/** Of a call: a third of it is for each attempt. */
const TIMEOUT_MS = 1_000;
const MAX_PROBLEMS = 20;

export interface FaultOptions {
  /** With one fault each, and calls enough to meet it. */
  readonly rounds: number;
  readonly seed: number;
  /** `binary`: a real memcached behind a proxy takes the scripted server's place. Default `meta`. */
  readonly protocol?: "meta" | "binary" | undefined;
  readonly onProgress?: ((done: number) => void) | undefined;
}

export interface FaultReport {
  readonly rounds: number;
  readonly calls: number;
  /** Calls that rejected, by code. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Faults, by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** The call that took longest, in ms. */
  readonly slowestMs: number;
  readonly problems: readonly string[];
}

const FAULTS = {
  cut: 25,
  reset: 15,
  hang: 3,
  garbageBefore: 15,
  garbageWithin: 15,
  garbageAfter: 15,
  dribble: 20,
} as const;
type Fault = keyof typeof FAULTS;

/** What the next fault is, and how many replies come before it. */
interface Pending {
  readonly fault: Fault;
  after: number;
}

/** A server that puts the fault it is given into one of its replies. */
interface FaultyServer {
  readonly address: string;
  arm(pending: Pending): void;
  close(): Promise<unknown>;
}

/** @throws Error when its servers do not come up */
export async function withFaults({ rounds, seed, protocol = "meta", onProgress }: FaultOptions): Promise<FaultReport> {
  const random = new Random(seed);
  const faults: Record<string, number> = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]));
  const met = (fault: Fault) => void faults[fault]!++;
  const server = await (protocol === "meta" ? scripted(random, met) : proxied(random, met));
  const times = { timeoutMs: TIMEOUT_MS, ioTimeoutMs: IO_TIMEOUT_MS, connectTimeoutMs: IO_TIMEOUT_MS };
  const options = { servers: [server.address], unmanaged: true, downAfter: 1_000_000, ...times };
  const client = await createClient({ ...options, protocol });
  const run = new Run(client, random);
  for (let round = 0; round < rounds; round++) {
    server.arm({ fault: random.weighted(FAULTS), after: random.int(0, CALLS_A_ROUND - 1) });
    await run.round();
    onProgress?.(round + 1);
  }
  await client.quit();
  await server.close();
  return { rounds, ...run.report(), faults };
}

async function scripted(random: Random, met: (fault: Fault) => void): Promise<FaultyServer> {
  const memory = new MemoryMemcached();
  let pending: Pending | undefined;
  const server = await ScriptedServer.listen((request) => {
    server.requests.length = 0; // they are not looked at
    const steps = memory.script(request);
    if (pending === undefined || pending.after-- > 0) return steps;
    const { fault } = pending;
    pending = undefined;
    met(fault);
    return disturbed(fault, steps, random);
  });
  const arm = (next: Pending) => {
    pending = next;
  };
  return { address: server.address, arm, close: () => server.close() };
}

async function proxied(random: Random, met: (fault: Fault) => void): Promise<FaultyServer> {
  const memcached = await startMemcached();
  let pending: Pending | undefined;
  const proxy = await BinaryProxy.listen(memcached.port, (response, client) => {
    if (pending === undefined || pending.after-- > 0) return undefined;
    const { fault } = pending;
    pending = undefined;
    met(fault);
    return disturbResponse(fault, response, client, random);
  });
  const arm = (next: Pending) => {
    pending = next;
  };
  return { address: proxy.address, arm, close: () => Promise.all([proxy.close(), memcached.stop()]) };
}

/** A reply with the fault in it. */
function disturbed(fault: Fault, steps: readonly Step[], random: Random): readonly Step[] {
  const reply = Buffer.from(String(sent(steps)), "latin1");
  const at = random.int(0, reply.length - 1);
  const [head, tail] = [reply.subarray(0, at), reply.subarray(at)];
  switch (fault) {
    case "cut":
      return [{ send: head }, { end: true }];
    case "reset":
      return [{ send: head }, { reset: true }];
    case "hang":
      return [{ send: head }, { hang: true }];
    case "garbageBefore":
      return [{ send: garbage(random) }, { send: reply }];
    case "garbageWithin":
      return [{ send: Buffer.concat([head, garbage(random), tail]) }];
    case "garbageAfter":
      return [{ send: reply }, { send: garbage(random) }];
    case "dribble":
      return [{ send: reply, pieces: random.int(1, 3) }];
  }
}

/** Of the header only what says whose response it is: a wrong length makes other bytes of the right ones, and there is no checksum. */
const TELLING_BYTES = [0, 1, 12, 13, 14, 15];

function disturbResponse(fault: Fault, response: Buffer, client: Socket, random: Random): "done" | "stop" {
  const head = response.subarray(0, random.int(0, response.length - 1));
  switch (fault) {
    case "cut":
      client.end(head);
      return "stop";
    case "reset":
      client.write(head);
      client.resetAndDestroy();
      return "stop";
    case "hang":
      client.write(head);
      return "stop";
    case "garbageBefore":
      client.write(Buffer.concat([garbage(random), response]));
      return "done";
    case "garbageAfter":
      client.write(Buffer.concat([response, garbage(random)]));
      return "done";
    case "garbageWithin": {
      const wrong = Buffer.from(response);
      wrong[random.pick(TELLING_BYTES)]! ^= random.int(1, 255);
      client.write(wrong);
      return "done";
    }
    case "dribble":
      for (const byte of response) client.write(Buffer.of(byte));
      return "done";
  }
}

function sent(steps: readonly Step[]): string | Buffer {
  const [first] = steps;
  if (first === undefined || !("send" in first)) throw new Error("the script had no reply to disturb");
  return first.send;
}

/** Noise that ends its line, so that what comes behind it is a line of its own and has to be told apart. */
function garbage(random: Random): Buffer {
  const length = random.int(1, random.pick([4, 60, 3_000]));
  const bytes = Buffer.from(Array.from({ length }, () => random.int(128, 255)));
  return random.chance(0.5) ? Buffer.concat([bytes, Buffer.from("\r\n")]) : bytes;
}

/** Rounds of calls by one client, and their histories. */
class Run {
  readonly #client: Client;
  readonly #random: Random;
  readonly #histories = Array.from({ length: KEYS }, (_, i) => new KeyHistory(`key:${i}`));
  readonly #rejected: Record<string, number> = {};
  readonly #problems: string[] = [];
  #calls = 0;
  #writes = 0;
  #slowestMs = 0;

  constructor(client: Client, random: Random) {
    this.#client = client;
    this.#random = random;
  }

  /** Calls at once on all keys; judged per key in their order when all have settled. */
  async round(): Promise<void> {
    const calls = Array.from({ length: CALLS_A_ROUND }, () => this.#newCall());
    const outcomes = await Promise.all(calls.map(({ key, call }) => this.#outcome(key, call)));
    for (const [i, outcome] of outcomes.entries()) {
      const { key, call } = calls[i]!;
      const problem = this.#histories[key]!.add(call, outcome);
      if (problem !== undefined && this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
    }
  }

  report(): Omit<FaultReport, "rounds" | "faults"> {
    return {
      calls: this.#calls,
      rejected: this.#rejected,
      slowestMs: Math.round(this.#slowestMs),
      problems: this.#problems,
    };
  }

  #newCall(): { key: number; call: Call } {
    const key = this.#random.int(0, KEYS - 1);
    const kind = this.#random.weighted({ get: 6, set: 3, delete: 1 });
    if (kind !== "set") return { key, call: { kind } };
    const filler = "x".repeat(this.#random.int(0, this.#random.pick([10, 300, 5_000])));
    return { key, call: { kind, value: `${key}#${++this.#writes} ${filler}` } };
  }

  async #outcome(index: number, { kind, value }: Call): Promise<Outcome> {
    const key = `key:${index}`;
    const startedAt = performance.now();
    this.#calls++;
    try {
      const client = this.#client;
      if (kind === "get") return { answer: await client.get(key) };
      return { answer: await (kind === "set" ? client.set(key, value) : client.delete(key)) };
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error);
      this.#rejected[code] = (this.#rejected[code] ?? 0) + 1;
      return { error };
    } finally {
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startedAt);
    }
  }
}
