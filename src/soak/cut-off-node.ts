/**
 * `soak cut-off-node`: a memcached is cut off by a TCP proxy for half a minute while its keys change through other clients, then it is back.
 *
 *   one client cut      the others go on writing to the server; the one that was cut has to read what they wrote
 *   everybody cut       writes and deletes of the others reject; with `repair` their keys are gone when the server is back
 *
 * Judged at every read of every client, one that has just started among them: a value from before a key's change is stale. A key that
 * nobody touched has to be there with its value.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import { isRingshiftError } from "../errors.ts";
import { LocalCluster } from "../testing/index.ts";
import type { Outcome, Soak } from "./soak.ts";

const KEYS = 400;
const CLIENTS = 3;
/** Time for a server that can be reached again to serve everybody again. */
const BACK_MS = 15_000;
const PAUSE_MS = 20;

export const cutOffNode: Soak = {
  name: "cut-off-node",
  about:
    "a server that was cut off while its keys changed answers nothing stale when it is back, and has its untouched keys",
  options: { seconds: 30 },
  run: async ({ seconds }, progress) => {
    const cluster = await LocalCluster.start({ memcached: 3 });
    const line = await Line.open(cluster.memcached[0]!.port);
    const servers = [line.address, ...cluster.servers.slice(1)];
    const options = { redis: cluster.redis.url, servers, onRejoin: "repair", timeoutMs: 1_500 } as const;
    const clients: Client[] = [];
    const another = async () => clients[clients.push(await createClient(options)) - 1]!;
    try {
      const first = await another();
      await first.version();
      const run = new Run(line, first, another);
      await run.prepare();
      await run.oneCut(seconds! * 1000);
      progress(`one client cut off for ${seconds} s: ${run.summary()}`);
      await run.allCut(seconds! * 1000);
      progress(`everybody cut off for ${seconds} s: ${run.summary()}`);
      return run.outcome();
    } finally {
      await Promise.all(clients.map((client) => client.quit()));
      line.close();
      await cluster.stop();
    }
  },
};

class Run {
  readonly #line: Line;
  readonly #cut: Client;
  readonly #another: () => Promise<Client>;
  readonly #others: Client[] = [];
  /** Keys of the server that is cut off, and the value that each has to have; undefined: gone, or nobody knows. */
  readonly #values = new Map<string, string | undefined>();
  /** Values from before a key's change: stale wherever they are read. */
  readonly #former = new Map<string, Set<string>>();
  readonly #problems: string[] = [];
  readonly #figures = {
    reads: 0,
    staleReads: 0,
    acknowledgedChanges: 0,
    rejectedChanges: 0,
    untouchedKeys: 0,
    untouchedLost: 0,
  };

  constructor(line: Line, cut: Client, another: () => Promise<Client>) {
    this.#line = line;
    this.#cut = cut;
    this.#another = another;
  }

  async prepare(): Promise<void> {
    for (let i = 0; this.#values.size < KEYS; i++) {
      const key = `key:${i}`;
      if (this.#cut.locate(key).address === this.#line.address) this.#values.set(key, `first of ${key}`);
    }
    await this.#cut.setMulti(this.#values);
    this.#line.remember(); // so far there is one client's connection
    for (let i = 0; i < CLIENTS; i++) this.#others.push(await this.#another());
    await this.#readAll(this.#others);
  }

  async oneCut(ms: number): Promise<void> {
    this.#line.cutRemembered();
    const until = performance.now() + ms;
    const [touched] = this.#halves();
    for (let i = 0; performance.now() < until; i++) {
      await this.#change(touched[i % touched.length]!, i);
      await this.#cut.get(touched[i % touched.length]!).catch(unanswered);
      await sleep(PAUSE_MS);
    }
    this.#line.heal();
    await this.#everybodyReads();
  }

  async allCut(ms: number): Promise<void> {
    this.#line.cutAll();
    const until = performance.now() + ms;
    const [touched] = this.#halves();
    for (let i = 0; performance.now() < until; i++) {
      await this.#change(touched[i % touched.length]!, 1_000_000 + i);
      await sleep(PAUSE_MS);
    }
    this.#line.heal();
    await this.#everybodyReads();
  }

  summary(): string {
    const { reads, staleReads, acknowledgedChanges, rejectedChanges, untouchedLost } = this.#figures;
    return `${acknowledgedChanges} changes acknowledged, ${rejectedChanges} rejected, ${reads} reads, ${staleReads} stale, ${untouchedLost} untouched keys lost`;
  }

  outcome(): Outcome {
    const { staleReads, untouchedLost, acknowledgedChanges, rejectedChanges } = this.#figures;
    if (acknowledgedChanges === 0 || rejectedChanges === 0)
      this.#problems.push("nothing was changed while it was cut off");
    return {
      kept: staleReads + untouchedLost + this.#problems.length === 0,
      problems: this.#problems,
      figures: this.#figures,
    };
  }

  /** The keys that are changed while the server is away, and those that nobody touches. */
  #halves(): [string[], string[]] {
    const keys = [...this.#values.keys()];
    return [keys.slice(0, KEYS / 2), keys.slice(KEYS / 2)];
  }

  /** One in three is a delete. */
  async #change(key: string, i: number): Promise<void> {
    const client = this.#others[i % this.#others.length]!;
    const before = this.#values.get(key);
    const former = this.#former.get(key) ?? new Set();
    this.#former.set(key, former);
    const value = i % 3 === 0 ? undefined : `${i} of ${key}`;
    try {
      await (value === undefined ? client.delete(key) : client.set(key, value));
      this.#values.set(key, value);
      this.#figures.acknowledgedChanges++;
    } catch (error) {
      unanswered(error);
      this.#values.set(key, undefined);
      this.#figures.rejectedChanges++;
    }
    if (before !== undefined) former.add(before);
  }

  async #everybodyReads(): Promise<void> {
    const late = await this.#another();
    await this.#readAll([this.#cut, ...this.#others, late]);
    const [, untouched] = this.#halves();
    const found = await late.getMulti<string>(untouched);
    const lost = untouched.filter((key) => found.get(key) !== this.#values.get(key));
    this.#figures.untouchedKeys = untouched.length;
    this.#figures.untouchedLost += lost.length;
    for (const key of lost) this.#problems.push(`${key}, which nobody touched, is ${found.get(key)}`);
  }

  /** From the moment at which the server answers a client every value counts. */
  async #readAll(clients: readonly Client[]): Promise<void> {
    await Promise.all(
      clients.map(async (client) => {
        const giveUp = performance.now() + BACK_MS;
        const open = new Set(this.#values.keys());
        while (open.size > 0 && performance.now() < giveUp) {
          for (const key of open) {
            const found = await client.get<string>(key).then((value) => ({ value }), unanswered);
            if (found === undefined) break;
            open.delete(key);
            this.#judge(key, found.value);
          }
          if (open.size > 0) await sleep(PAUSE_MS);
        }
        if (open.size > 0) this.#problems.push(`a client was not answered for ${BACK_MS} ms after the cut`);
      }),
    );
  }

  #judge(key: string, value: string | undefined): void {
    this.#figures.reads++;
    const wanted = this.#values.get(key);
    const stale = value !== undefined && value !== wanted && this.#former.get(key)?.has(value);
    if (stale) this.#figures.staleReads++;
    if (stale) this.#problems.push(`${key} read ${value}, stale`);
    else if (wanted !== undefined && value !== wanted)
      this.#problems.push(`${key} read ${value}, ${wanted} was acknowledged`);
  }
}

/** A TCP proxy in front of one server. What is cut carries nothing, and is closed at the end; new connections meanwhile are cut as well. */
class Line {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #remembered = new Set<readonly [Socket, Socket]>();
  #lost = new Set<readonly [Socket, Socket]>();
  #cutting = false;

  private constructor(port: number) {
    this.#server = createServer((client) => {
      const pair = [client, connect({ host: "127.0.0.1", port, noDelay: true })] as const;
      this.#pairs.add(pair);
      if (this.#cutting) this.#lost.add(pair);
      for (const [from, to] of [pair, [pair[1], pair[0]] as const]) {
        from.on("data", (piece) => void (this.#lost.has(pair) || to.write(piece)));
        from.on("error", () => {});
        from.on("close", () => {
          to.destroy();
          this.#pairs.delete(pair);
        });
      }
    });
  }

  static async open(port: number): Promise<Line> {
    const line = new Line(port);
    await new Promise<void>((resolve) => line.#server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** The connections of now: those to cut by `cutRemembered`. */
  remember(): void {
    this.#remembered = new Set(this.#pairs);
  }

  /** The remembered connections, and all new ones: whoever had one tries to come back. */
  cutRemembered(): void {
    this.#cutting = true;
    this.#lost = new Set(this.#remembered);
  }

  cutAll(): void {
    this.#cutting = true;
    this.#lost = new Set(this.#pairs);
  }

  heal(): void {
    this.#cutting = false;
    for (const pair of this.#lost) for (const socket of pair) socket.destroy();
    this.#lost.clear();
  }

  close(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#server.close();
  }
}

/** What a call may reject with while its server is away; anything else is a bug. */
function unanswered(error: unknown): undefined {
  if (isRingshiftError(error) && ["NODE_DOWN", "TIMEOUT", "AMBIGUOUS_WRITE"].includes(error.code)) return undefined;
  throw error;
}
