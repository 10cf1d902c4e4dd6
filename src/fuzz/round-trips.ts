/**
 * Random keys and values through clients to real servers and back: what is legal comes back as it was and is deleted, everything else is
 * refused before I/O. Afterwards the servers' own counts have to be exactly those of the commands that were asked for.
 */

import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import type { ClientOptions } from "../client/options.ts";
import { isRingshiftError } from "../errors.ts";
import { stats } from "../memcached/admin.ts";
import { Random } from "../model/random.ts";
import { isKey, randomKey } from "./keys.ts";
import { type Fate, fateOf, isSame, randomValue } from "./values.ts";

/** Cases whose commands are under way together. */
const BATCH = 200;

/** The clients that take turns; none has a handshake, which the servers would count. */
const CLIENTS: readonly (Omit<ClientOptions, "servers"> & { readonly namespace?: string })[] = [
  {},
  { namespace: "fuzz", connections: 3 },
  { protocol: "binary" },
];

export interface RoundTripOptions {
  readonly count: number;
  readonly seed: number;
  /** Addresses of memcacheds that nobody else uses. */
  readonly servers: readonly string[];
  readonly onProgress?: ((done: number) => void) | undefined;
}

export interface RoundTripReport {
  readonly cases: number;
  /** Stored, read back and deleted. */
  readonly stored: number;
  readonly bytes: number;
  readonly refusedKeys: number;
  readonly refusedValues: number;
  readonly tooLarge: number;
  /** Of the servers together, beside what was expected. */
  readonly counted: Readonly<Record<string, number>>;
  readonly expected: Readonly<Record<string, number>>;
  /** What went wrong, at most 20 of it. */
  readonly problems: readonly string[];
}

interface Case {
  readonly key: unknown;
  readonly value: unknown;
  readonly bytes: number;
  readonly fate: Fate | "bad-key";
}

const MAX_PROBLEMS = 20;

export async function roundTrips(options: RoundTripOptions): Promise<RoundTripReport> {
  const { count, seed, servers } = options;
  const random = new Random(seed);
  const shared = { servers, unmanaged: true, timeoutMs: 60_000 };
  const clients = await Promise.all(CLIENTS.map((own) => createClient({ ...shared, ...own })));
  const tally = new Tally();
  const before = await countsOf(servers);
  for (let done = 0; done < count; ) {
    const turn = Math.floor(done / BATCH) % clients.length;
    const { namespace } = CLIENTS[turn]!;
    const cases = makeCases(random, Math.min(BATCH, count - done), namespace === undefined ? "" : `${namespace}:`);
    await Promise.all(cases.map((one) => tryCase(clients[turn]!, one, tally)));
    tally.sent(cases);
    done += cases.length;
    options.onProgress?.(done);
  }
  const counted = difference(await countsOf(servers), before);
  await Promise.all(clients.map((client) => client.quit()));
  tally.compare(counted);
  return tally.report(counted);
}

/** Keys of one batch are different ones: each case is alone with its key. */
function makeCases(random: Random, count: number, prefix: string): Case[] {
  const cases: Case[] = [];
  const taken = new Set<unknown>();
  while (cases.length < count) {
    const key = randomKey(random);
    const { value, bytes, valid } = randomValue(random);
    const legal = isKey(key, prefix);
    if (legal && taken.has(key)) continue;
    taken.add(key);
    const keyBytes = legal ? Buffer.byteLength(prefix + key) : 0;
    cases.push({ key, value, bytes, fate: legal ? fateOf({ value, bytes, valid }, keyBytes) : "bad-key" });
  }
  return cases;
}

const REFUSALS: Readonly<Record<Exclude<Case["fate"], "stored">, readonly string[]>> = {
  "bad-key": ["INVALID_KEY", "INVALID_VALUE"], // either is told first
  invalid: ["INVALID_VALUE"],
  "too-large": ["VALUE_TOO_LARGE"],
};

async function tryCase(client: Client, one: Case, tally: Tally): Promise<void> {
  const key = one.key as string;
  try {
    await client.set(key, one.value);
    if (one.fate !== "stored") return tally.problem(one, `was stored, not refused (${one.fate})`);
    const read = await client.get(key);
    if (!isSame(one.value, read)) tally.problem(one, `came back as ${describe(read)}`);
    if (!(await client.delete(key))) tally.problem(one, "was not there to delete");
  } catch (error) {
    const code = isRingshiftError(error) ? error.code : String(error);
    if (one.fate === "stored" || !REFUSALS[one.fate].includes(code)) tally.problem(one, `failed: ${String(error)}`);
  }
}

class Tally {
  readonly #fates: Record<Case["fate"], number> = { stored: 0, invalid: 0, "too-large": 0, "bad-key": 0 };
  readonly #problems: string[] = [];
  #bytes = 0;

  problem({ key, value }: Case, what: string): void {
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(`${describe(key)} = ${describe(value)}: ${what}`);
  }

  sent(cases: readonly Case[]): void {
    for (const one of cases) {
      this.#fates[one.fate]++;
      if (one.fate === "stored") this.#bytes += one.bytes;
    }
  }

  /** A delete is a get with an expiry that is over, which counts as a touch, and a get that finds nothing. */
  #expected(): Record<string, number> {
    const { stored } = this.#fates;
    return {
      cmd_set: stored,
      cmd_get: 2 * stored,
      get_hits: stored,
      get_misses: stored,
      touch_hits: stored,
      delete_hits: 0,
      delete_misses: 0,
      cmd_flush: 0,
      cmd_touch: stored,
      incr_hits: 0,
      incr_misses: 0,
      decr_hits: 0,
      decr_misses: 0,
      cas_hits: 0,
      cas_misses: 0,
      cas_badval: 0,
      auth_cmds: 0,
      total_items: stored,
      curr_items: 0,
      evictions: 0,
    };
  }

  compare(counted: Readonly<Record<string, number>>): void {
    for (const [name, expected] of Object.entries(this.#expected())) {
      if (counted[name] === expected) continue;
      this.#problems.push(`the servers count ${name} ${counted[name]}, asked for were ${expected}`);
    }
  }

  report(counted: Readonly<Record<string, number>>): RoundTripReport {
    const fates = this.#fates;
    return {
      cases: Object.values(fates).reduce((sum, fate) => sum + fate, 0),
      stored: fates.stored,
      bytes: this.#bytes,
      refusedKeys: fates["bad-key"],
      refusedValues: fates.invalid,
      tooLarge: fates["too-large"],
      counted,
      expected: this.#expected(),
      problems: this.#problems,
    };
  }
}

/** What the servers have counted so far, together. */
async function countsOf(servers: readonly string[]): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const found of await Promise.all(servers.map((address) => stats(address)))) {
    for (const [name, text] of found) if (/^\d+$/.test(text)) sums.set(name, (sums.get(name) ?? 0) + Number(text));
  }
  return sums;
}

function difference(after: ReadonlyMap<string, number>, before: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries(Array.from(after, ([name, count]) => [name, count - (before.get(name) ?? 0)]));
}

function describe(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes ${Buffer.from(value.subarray(0, 40)).toString("hex")}`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 100 ? `${text.slice(0, 100)}... (${text.length} characters)` : text;
}
