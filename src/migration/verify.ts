/**
 * `verify`: what the index says against what the servers hold, in S.
 *
 *   index    each entry ─► live or dead at its owner; a dead one must be nowhere else either
 *   --full   each live key, by metadump ─► in its point's set, and on its owner
 *   --fix    what is missing is listed, what is on the wrong node is deleted by its CAS under a fence check
 *
 * With traffic going on a key can come or go between two looks, so whatever is found wrong is looked at once more before it counts.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { ourKeys } from "../protocol/our-keys.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { OperatorStore } from "../topology/store.ts";
import { entriesOf, generationsOf } from "./entries.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";
import type { OnProgress } from "./progress.ts";
import { purgeKeys } from "./purge.ts";
import { persist, settledView } from "./ready.ts";
import { record } from "./reindex.ts";
import { areLive } from "./sweep.ts";

const BATCH_KEYS = 500;
const EXAMPLES = 10;
const DUMP_TRIES = 3;
/** A server that does not show its fence within this is not checked. */
const ANSWER_MS = 3_000;

export interface VerifyOptions {
  /** Read every server by metadump as well. Default false: only what the index lists is looked at. */
  readonly full?: boolean | undefined;
  /** List what is missing and delete what is on the wrong node. Needs the lease: no change of the ring meanwhile. */
  readonly fix?: boolean | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** Keys that are not as they should be. */
export interface Findings {
  readonly count: number;
  readonly fixed: number;
  /** Wire keys with the node that holds them, a few of them. */
  readonly examples: readonly { readonly key: string; readonly node: string }[];
}

export interface VerifyReport {
  readonly full: boolean;
  /** Entries of the index, and what they are at the keys' owners. */
  readonly entries: number;
  readonly live: number;
  readonly dead: number;
  /** Entries under a point that does not own their key any more. They do no harm; a sweep drops them. */
  readonly leftOver: number;
  /** Live keys that the servers list; 0 without `full`. */
  readonly keys: number;
  /** Live keys that no set lists, on a server that is not known for it: nothing would move them. */
  readonly missing: Findings;
  /** Live keys that no set lists, on a server that is: migrations find them by metadump, and `reindex` lists them. */
  readonly unrecorded: Findings;
  /** Values on a node that does not own their key. They are never read. */
  readonly strays: Findings;
  /** Servers whose part of the index may have gaps: ` u` on the fence, or untrusted since a fail-over of Redis. */
  readonly incomplete: readonly string[];
  /** Servers that could not be asked, and why. */
  readonly unchecked: readonly { readonly node: string; readonly why: string }[];
  /** Nothing was wrong, or all of it is fixed, and every server was asked. */
  readonly clean: boolean;
}

/** @throws RingshiftError MIGRATION_RUNNING, UNCONFIRMED, REDIS_UNREACHABLE */
export async function verify(
  session: Session,
  store: OperatorStore,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  await settledView(session, options.onProgress ?? (() => {}));
  return new Verification(session, store, options).run();
}

class Verification {
  readonly #session: Session;
  readonly #store: OperatorStore;
  readonly #options: VerifyOptions;
  readonly #missing = new Found();
  readonly #unrecorded = new Found();
  readonly #strays = new Found();
  readonly #incomplete = new Set<string>();
  readonly #unchecked = new Map<string, string>();
  #entries = 0;
  #live = 0;
  #dead = 0;
  #leftOver = 0;
  #keys = 0;

  readonly #migrations: number;

  constructor(session: Session, store: OperatorStore, options: VerifyOptions) {
    this.#session = session;
    this.#migrations = session.view.document.migrations;
    this.#store = store;
    this.#options = options;
  }

  async run(): Promise<VerifyReport> {
    for (const node of this.#session.view.document.nodes) await this.#askFence(node);
    await inParallel(new Set(this.#session.view.ring.getPoints()), SETS_AT_ONCE, (point) => this.#verifySet(point));
    if (this.#options.full) for (const node of this.#session.view.document.nodes) await this.#verifyServer(node);
    this.#requireSameRing();
    const [missing, unrecorded, strays] = [this.#missing, this.#unrecorded, this.#strays].map((found) =>
      found.report(),
    );
    const wrong = [missing!, unrecorded!, strays!].some(({ count, fixed }) => count > fixed);
    return {
      full: this.#options.full ?? false,
      entries: this.#entries,
      live: this.#live,
      dead: this.#dead,
      leftOver: this.#leftOver,
      keys: this.#keys,
      missing: missing!,
      unrecorded: unrecorded!,
      strays: strays!,
      incomplete: [...this.#incomplete],
      unchecked: Array.from(this.#unchecked, ([node, why]) => ({ node, why })),
      clean: !wrong && this.#unchecked.size === 0,
    };
  }

  /** Whether the server answers, and whether its part of the index is known to have gaps. */
  async #askFence(node: NodeRecord): Promise<void> {
    const { document } = this.#session.view;
    if (document.untrusted.includes(node.name)) this.#incomplete.add(node.name);
    await this.#orUnchecked(node, async () => {
      const { fence } = await persist(
        this.#session,
        async (view) => {
          const asked = await ask(this.#session, view, node, []);
          await requireFence(this.#session, view, node, asked);
          return asked;
        },
        ANSWER_MS,
      );
      if (fence!.unindexed) this.#incomplete.add(node.name);
    });
  }

  async #verifySet(point: number): Promise<void> {
    const seen = new Set<string>();
    for await (const page of entriesOf(this.#store, this.#session.view.document, point)) {
      const fresh = [...new Set(page)].filter((key) => !seen.has(key));
      for (const key of fresh) seen.add(key);
      await this.#verifyEntries(point, fresh);
    }
  }

  async #verifyEntries(point: number, keys: readonly string[]): Promise<void> {
    const { view } = this.#session;
    this.#entries += keys.length;
    const byOwner = new Map<NodeRecord, string[]>();
    for (const key of keys) {
      const route = view.route(key);
      if (route.point !== point) this.#leftOver++;
      byOwner.set(route.node, [...(byOwner.get(route.node) ?? []), key]);
    }
    for (const [owner, owned] of byOwner) {
      for (const part of slices(owned, MAX_EXCHANGE_COMMANDS)) {
        await this.#orUnchecked(owner, async () => {
          const alive = await areLive(this.#session, owner, part);
          const dead = part.filter((_, i) => !alive[i]);
          this.#live += part.length - dead.length;
          this.#dead += dead.length;
          const elsewhere = part.filter((key, i) => alive[i] && view.route(key).point !== point);
          if (elsewhere.length > 0) await this.#requireListed(owner, elsewhere);
          for (const node of view.document.nodes) {
            if (node.index !== owner.index && dead.length > 0)
              await this.#orUnchecked(node, () => this.#nowhere(node, dead));
          }
        });
      }
    }
  }

  /** Keys that are dead at their owner must not stand at another node either. */
  async #nowhere(node: NodeRecord, keys: readonly string[]): Promise<void> {
    const alive = await areLive(this.#session, node, keys);
    const found = keys.filter((_, i) => alive[i]);
    if (found.length > 0) await this.#stray(node, found);
  }

  async #verifyServer(node: NodeRecord): Promise<void> {
    if (this.#unchecked.has(node.name)) return;
    this.#options.onProgress?.({ step: "dumping", node: node.name });
    await this.#orUnchecked(node, async () => {
      for (let i = 1; ; i++) {
        try {
          this.#keys += await this.#readServer(node);
          return;
        } catch (error) {
          if (i === DUMP_TRIES || !isRingshiftError(error, "PROTOCOL_ERROR")) throw error; // a damaged dump is read again
        }
      }
    });
  }

  async #readServer(node: NodeRecord): Promise<number> {
    let keys = 0;
    for await (const batch of ourKeys(this.#session, node, BATCH_KEYS)) {
      const { view } = this.#session;
      const owned = batch.filter((key) => view.owner(view.hashOf(key)).index === node.index);
      const others = batch.filter((key) => !owned.includes(key));
      keys += owned.length;
      await this.#requireListed(node, owned);
      for (const part of slices(others, MAX_EXCHANGE_COMMANDS)) {
        const alive = await areLive(this.#session, node, part);
        const strays = part.filter((_, i) => alive[i]);
        if (strays.length > 0) await this.#stray(node, strays);
      }
    }
    return keys;
  }

  /** Live keys at their owner: each is to be in its point's set. */
  async #requireListed(node: NodeRecord, keys: readonly string[]): Promise<void> {
    const suspects = await this.#unlisted(keys);
    for (const part of slices(suspects, MAX_EXCHANGE_COMMANDS)) {
      const alive = await areLive(this.#session, node, part);
      const missing = await this.#unlisted(part.filter((_, i) => alive[i]));
      if (missing.length === 0) continue;
      if (this.#options.fix) await record(this.#session, this.#store, missing);
      const found = this.#incomplete.has(node.name) ? this.#unrecorded : this.#missing;
      found.add(node, missing, this.#options.fix ?? false);
    }
  }

  async #unlisted(keys: readonly string[]): Promise<string[]> {
    const { view } = this.#session;
    let left = [...keys];
    for (const generation of generationsOf(view.document)) {
      const entries = left.map((key) => ({ generation, point: view.route(key).point, key }));
      const listed = await this.#store.listed(entries);
      left = left.filter((_, i) => !listed[i]);
    }
    return left;
  }

  async #stray(node: NodeRecord, keys: readonly string[]): Promise<void> {
    const purge = () => persist(this.#session, (view) => purgeKeys(this.#session, view, node, keys));
    if (this.#options.fix) await purge();
    this.#strays.add(node, keys, this.#options.fix ?? false);
  }

  #requireSameRing(): void {
    if (this.#session.view.document.migrations === this.#migrations) return;
    throw new RingshiftError("MIGRATION_RUNNING", "The ring changed while it was being verified: run verify again.");
  }

  /** A server that does not answer is told in the report, once. */
  async #orUnchecked(node: NodeRecord, work: () => Promise<void>): Promise<void> {
    if (this.#unchecked.has(node.name)) return;
    try {
      await work();
    } catch (error) {
      if (!isServers(error)) throw error;
      this.#unchecked.set(node.name, error.message);
    }
  }
}

/** Each key and node counts once, by whatever way it is found. */
class Found {
  readonly #seen = new Set<string>();
  #fixed = 0;
  readonly #examples: { key: string; node: string }[] = [];

  add(node: NodeRecord, keys: readonly string[], fixed: boolean): void {
    for (const key of keys) {
      const id = `${node.index} ${key}`;
      if (this.#seen.has(id)) continue;
      this.#seen.add(id);
      if (fixed) this.#fixed++;
      if (this.#examples.length < EXAMPLES) this.#examples.push({ key, node: node.name });
    }
  }

  report(): Findings {
    return { count: this.#seen.size, fixed: this.#fixed, examples: this.#examples };
  }
}

function isServers(error: unknown): error is RingshiftError {
  if (!isRingshiftError(error)) return false;
  return ["NODE_DOWN", "TIMEOUT", "PROTOCOL_ERROR", "META_REQUIRED", "QUEUE_FULL"].includes(error.code);
}

function* slices<T>(items: readonly T[], size: number): Iterable<T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
