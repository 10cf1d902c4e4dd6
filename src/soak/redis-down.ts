/**
 * `soak redis-down`: Redis is away while no migration is under way. No read and no write fails meanwhile; after its return a migration moves
 * every key that was written in its absence, and `verify --full` finds nothing wrong.
 *
 *   frozen     SIGSTOP ... SIGCONT: connections stay, nothing is answered
 *   killed     SIGKILL ... started again from its append-only file: another run id
 */
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { type Admin, openAdmin } from "../migration/admin.ts";
import { LocalCluster } from "../testing/index.ts";
import { opened } from "./child.ts";
import { percentiles, type Soak } from "./soak.ts";

const CLIENTS = 4;
/** Calls under way per client. */
const LOOPS = 4;
const KEYS = 2_000;
/** Between two calls of a loop. */
const PAUSE_MS = 2;

type Away = "frozen" | "killed";

export const redisDown: Soak = {
  name: "redis-down",
  about: "with Redis away no read and no write fails, and what was written meanwhile moves afterwards",
  options: { seconds: 60 },
  run: async ({ seconds }, progress) => {
    const problems: string[] = [];
    const figures: Record<string, number | boolean> = {};
    for (const away of ["frozen", "killed"] as const) {
      progress(`Redis ${away} for ${seconds} s`);
      const found = await once(away, seconds!, progress);
      problems.push(...found.problems.map((problem) => `${away}: ${problem}`));
      for (const [name, value] of Object.entries(found.figures)) figures[`${away}.${name}`] = value;
    }
    return { kept: problems.length === 0, problems, figures };
  },
};

async function once(away: Away, seconds: number, progress: (text: string) => void) {
  const cluster = await LocalCluster.start({
    memcached: 4,
    redis: { appendOnly: true, args: ["--appendfsync", "always"] },
  });
  const [joining, ...servers] = cluster.servers as [string, ...string[]];
  const { redis } = cluster;
  const clients: Client[] = [];
  let admin: Admin | undefined;
  try {
    for (let i = 0; i < CLIENTS; i++) {
      clients.push(await opened(() => createClient({ redis: redis.url, servers, whenIndexDown: "mark" })));
    }
    const crew = new Crew(clients);
    await crew.load();
    await redis.kill(away === "frozen" ? "SIGSTOP" : "SIGKILL");
    await crew.work(seconds * 1000);
    if (away === "frozen") await redis.kill("SIGCONT");
    else await redis.restart();
    progress(`Redis is back after ${crew.operations} operations`);
    admin = await opened(() => openAdmin({ redis: redis.url }));
    const { moved } = await admin.apply({ kind: "add-node", nodes: [{ address: joining }] });
    const missing = await crew.wrong();
    const verified = await admin.verify({ full: true });
    const problems = [...crew.problems, ...missing.map((key) => `${key} is wrong after the migration`)];
    if (!verified.clean) problems.push(`verify --full is not clean: ${JSON.stringify(verified)}`);
    const { read, write } = crew.times;
    const figures = {
      operations: crew.operations,
      failed: crew.problems.length,
      newKeysMeanwhile: crew.fresh,
      readP99Ms: percentiles(read).p99,
      writeP99Ms: percentiles(write).p99,
      writeMaxMs: percentiles(write).max,
      keysMoved: moved,
      wrongAfterwards: missing.length,
      verifyClean: verified.clean,
    };
    return { problems, figures };
  } finally {
    await admin?.close();
    await Promise.all(clients.map((client) => client.quit()));
    await cluster.stop();
  }
}

/** Several clients; each key is written by one loop alone, so that what it has to be is known. */
class Crew {
  readonly #clients: readonly Client[];
  /** What stands there, undefined after a delete. */
  readonly #values = new Map<string, number | undefined>();
  readonly problems: string[] = [];
  readonly times = { read: [] as number[], write: [] as number[] };
  operations = 0;
  /** Keys that were written for the first time while Redis was away. */
  fresh = 0;

  constructor(clients: readonly Client[]) {
    this.#clients = clients;
  }

  async load(): Promise<void> {
    for (let loop = 0; loop < CLIENTS * LOOPS; loop++) {
      const entries = Array.from({ length: KEYS / (CLIENTS * LOOPS) }, (_, i): [string, number] => [
        `k:${loop}:${i}`,
        i,
      ]);
      await this.#clients[loop % CLIENTS]!.setMulti(entries);
      for (const [key, value] of entries) this.#values.set(key, value);
    }
  }

  async work(ms: number): Promise<void> {
    const until = performance.now() + ms;
    await Promise.all(Array.from({ length: CLIENTS * LOOPS }, (_, loop) => this.#loop(loop, until)));
  }

  /** The keys that do not read as they were written last. */
  async wrong(): Promise<string[]> {
    const found = await this.#clients[0]!.getMulti<number>(this.#values.keys());
    return [...this.#values].filter(([key, value]) => found.get(key) !== value).map(([key]) => key);
  }

  async #loop(loop: number, until: number): Promise<void> {
    const client = this.#clients[loop % CLIENTS]!;
    let own = KEYS / (CLIENTS * LOOPS);
    for (let turn = 0; performance.now() < until; turn++) {
      const key = `k:${loop}:${Math.floor(Math.random() * own)}`;
      const kind = turn % 10;
      if (kind < 4) await this.#read(client, key);
      else if (kind < 7) await this.#write(key, turn, () => client.set(key, turn));
      else if (kind === 7) await this.#write(key, undefined, () => client.delete(key));
      else {
        const fresh = `k:${loop}:${own++}`;
        this.fresh++;
        await this.#write(fresh, turn, () => client.set(fresh, turn));
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #read(client: Client, key: string): Promise<void> {
    const found = await this.#timed("read", key, () => client.get<number>(key));
    if (found === FAILED || found === this.#values.get(key)) return;
    this.problems.push(`${key} read ${found ?? "nothing"}, it is ${this.#values.get(key) ?? "nothing"}`);
  }

  async #write(key: string, value: number | undefined, write: () => Promise<unknown>): Promise<void> {
    if ((await this.#timed("write", key, write)) !== FAILED) this.#values.set(key, value);
  }

  async #timed<T>(kind: "read" | "write", key: string, call: () => Promise<T>): Promise<T | typeof FAILED> {
    const began = performance.now();
    this.operations++;
    try {
      return await call();
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      this.problems.push(`${kind} of ${key}: ${error.code} ${error.message}`);
      return FAILED;
    } finally {
      this.times[kind].push(performance.now() - began);
    }
  }
}

const FAILED: unique symbol = Symbol("failed");
