/**
 * What keeps a server that was out of reach from answering old values. The ring does not change by itself, so a write whose server does not
 * answer rejects, and before it rejects its key is put on the server's list of dirty keys in Redis (topology/dirty-keys.ts).
 *
 *   write ─ no answer ─► list in Redis ─► rejects           poll, each second: a server has dirty keys ─► suspect
 *   down or suspect ─► probe answers ─► repair: delete the listed keys there, take them off ─► serves again
 *
 * Every client repairs before the server serves *it*; deleting a key twice costs no more than a value. While Redis does not answer nobody
 * can know the list, so a server that was down stays so; the keys of this process' own failed writes are kept here until Redis has them.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { metaDelete } from "../memcached/commands.ts";
import type { Command } from "../memcached/exchange.ts";
import type { FirstWords } from "../memcached/link.ts";
import type { LinkPool } from "../memcached/pool.ts";
import { type Endpoint, MAX_EXCHANGE_BYTES, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { ourKeys } from "../protocol/our-keys.ts";
import type { DirtyKeys } from "../topology/dirty-keys.ts";
import type { Namespace } from "../topology/namespace.ts";

export type OnRejoin = "repair" | "flush";

/** Keys of failed writes that Redis could not be told of, at most per server; with more, the server is flushed. */
const MAX_OWN_KEYS = 100_000;

/** What this process has lost at a server and Redis does not list. Losses are numbered. */
interface Own {
  /** By key, its last loss. */
  readonly keys: Map<string, number>;
  /** The last loss that there was no room for. */
  beyond: number | undefined;
}

export class Rejoin {
  readonly #how: OnRejoin;
  readonly #namespace: Namespace;
  /** Undefined without Redis. */
  readonly #dirty: DirtyKeys | undefined;
  /** By server. */
  readonly #own = new Map<string, Own>();
  #losses = 0;
  /** By server: what one turn of the event loop has lost. */
  readonly #batches = new Map<string, { readonly keys: Set<string>; readonly listed: Promise<void> }>();
  #pool: LinkPool | undefined;

  constructor(how: OnRejoin, namespace: Namespace, dirty: DirtyKeys | undefined) {
    this.#how = how;
    this.#namespace = namespace;
    this.#dirty = dirty;
  }

  /** The pool is made with this, so it comes later. */
  attach(pool: LinkPool): void {
    this.#pool = pool;
  }

  /** A write that its server may not have got: before it rejects. */
  async lost(nodes: readonly Endpoint[], name: string, wire: string): Promise<void> {
    if (this.#dirty === undefined) return;
    let batch = this.#batches.get(name);
    if (batch === undefined) {
      const keys = new Set<string>();
      const listed = new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        this.#batches.delete(name);
        return this.#list(nodes, name, keys);
      });
      batch = { keys, listed };
      this.#batches.set(name, batch);
    }
    batch.keys.add(wire);
    await batch.listed;
  }

  /** From the first moment on this process keeps the server out, and knows the keys itself until Redis has them. */
  async #list(nodes: readonly Endpoint[], name: string, keys: ReadonlySet<string>): Promise<void> {
    const own = this.#own.get(name) ?? { keys: new Map<string, number>(), beyond: undefined };
    this.#own.set(name, own);
    const kept = new Map<string, number>();
    for (const key of keys) {
      if (own.keys.size >= MAX_OWN_KEYS && !own.keys.has(key)) continue;
      kept.set(key, ++this.#losses);
      own.keys.set(key, this.#losses);
    }
    const node = nodes.find((one) => one.name === name);
    if (node !== undefined) this.#suspect(node);
    try {
      await this.#dirty!.add(name, [...keys]);
      forget(own, kept);
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      if (kept.size < keys.size) own.beyond = ++this.#losses;
    }
  }

  /** After `quit` there is nothing that the server could be kept from. */
  #suspect(node: Endpoint): void {
    try {
      this.#pool!.link(node).suspect();
    } catch (error) {
      if (!isRingshiftError(error, "CLOSED")) throw error;
    }
  }

  /** Servers with dirty keys are repaired before they are asked anything more. @throws RingshiftError REDIS_UNREACHABLE */
  async poll(nodes: readonly Endpoint[]): Promise<void> {
    if (this.#dirty === undefined) return;
    const names = await this.#dirty.nodesWithSome(nodes.map((node) => node.name));
    for (const node of nodes) if (names.includes(node.name)) this.#suspect(node);
  }

  /** Before the server serves this client again. What it throws keeps it out. */
  async readmit(node: Endpoint, exchange: FirstWords): Promise<void> {
    await this.#repairOwn(node, exchange);
    if (this.#dirty === undefined) return;
    for (let found = await this.#dirty.some(node.name); found.length > 0; found = await this.#dirty.some(node.name)) {
      await deleteKeys(
        exchange,
        found.map(({ key }) => key),
      );
      await this.#dirty.remove(node.name, found);
    }
  }

  /** What is lost meanwhile, be it one of the same keys, is for the next time. */
  async #repairOwn(node: Endpoint, exchange: FirstWords): Promise<void> {
    const own = this.#own.get(node.name);
    const lost = [...(own?.keys ?? [])];
    const beyond = own?.beyond;
    if (this.#how === "flush" || beyond !== undefined) await this.#flush(node, exchange);
    else if (lost.length > 0) {
      await deleteKeys(
        exchange,
        lost.map(([key]) => key),
      );
    }
    if (own === undefined) return;
    forget(own, lost);
    if (own.beyond === beyond) own.beyond = undefined;
  }

  async #flush(node: Endpoint, exchange: FirstWords): Promise<void> {
    const transport = {
      dump: () => this.#pool!.dump(node),
      exchange: (_: Endpoint, commands: readonly Command[]) => exchange(commands), // the link serves nothing else yet
    };
    const reach = { namespace: this.#namespace, transport };
    for await (const keys of ourKeys(reach, node, MAX_EXCHANGE_COMMANDS * 16)) await deleteKeys(exchange, keys);
  }
}

/** Of these keys, those that have not been lost again since. */
function forget(own: Own, lost: Iterable<readonly [string, number]>): void {
  for (const [key, loss] of lost) if (own.keys.get(key) === loss) own.keys.delete(key);
}

async function deleteKeys(exchange: FirstWords, keys: readonly string[]): Promise<void> {
  const size = Math.min(MAX_EXCHANGE_COMMANDS, Math.floor(MAX_EXCHANGE_BYTES / 300));
  const flushes: Promise<unknown>[] = [];
  for (let from = 0; from < keys.length; from += size) {
    flushes.push(exchange(keys.slice(from, from + size).map((key) => metaDelete(key))).then(checkDeleted));
  }
  await Promise.all(flushes);
}

function checkDeleted({ replies }: Awaited<ReturnType<FirstWords>>): void {
  const odd = replies.find(({ status }) => status !== "HD" && status !== "NF");
  if (odd !== undefined) throw new RingshiftError("PROTOCOL_ERROR", `md was answered ${odd.status} ${odd.message}`);
}
