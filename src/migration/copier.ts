/**
 * Rule K, copy (docs/protocol.md): every indexed key of the moving arcs is pulled (P), in pipelined batches.
 *
 *   pass 1    sets of the affected points ─► P in batches;  entries whose point changes on the same node ─► listed in the new set
 *   dump      servers whose part of the index may have gaps ─► keys that no set lists ─► P
 *   pass 2    the same sets again ─► gets at the old owners, which must all miss
 *
 * Keys of a source that is declared dead are left out: there is nobody to pull them from (abandon.ts).
 * Idempotent and resumable at any set; any number of copiers at once do no harm. Memory: CONCURRENCY batches of BATCH_KEYS values.
 */

import { isRingshiftError, RingshiftError } from "../errors.ts";
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { ourKeys } from "../protocol/our-keys.ts";
import { Retry, Unstorable } from "../protocol/outcome.ts";
import { type PullKey, type PullOptions, pull } from "../protocol/pull.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import type { View } from "../protocol/view.ts";
import type { Arc } from "../ring/index.ts";
import { isDead, type NodeRecord } from "../topology/document.ts";
import { entriesByPoint, entriesOf } from "./entries.ts";
import { arcsByPoint } from "./plan.ts";
import type { OnProgress } from "./progress.ts";
import { RateLimit } from "./rate-limit.ts";

/** Keys of one batch: with two commands a key it fills a flush. */
const BATCH_KEYS = 31;
/** Sets copied at the same time. */
const CONCURRENCY = 8;
/** A batch that has made no progress for this long stops the copier. */
const PATIENCE_MS = 15_000;
const RETRY_MS = 10;

export interface CopierOptions {
  readonly onProgress: OnProgress;
  /** Keys a second at most; unbounded when undefined. */
  readonly rate?: number | undefined;
  /** Stop early: the cluster stays in D, and the same command resumes. */
  readonly signal?: AbortSignal | undefined;
  /** Points whose sets an earlier run has copied. */
  readonly done: ReadonlySet<number>;
  /** A point's set has been copied. */
  readonly pointDone: (point: number, moved: number) => Promise<void>;
  /** Asked before each batch: resolves when the copier may go on, rejects when it is to stop. */
  readonly obey?: (() => Promise<void>) | undefined;
  /** A value that its new owner cannot store: `stop` (the default), or `drop` it, as an abort has to. */
  readonly unstorable?: PullOptions["unstorable"] | undefined;
}

export interface CopyResult {
  readonly moved: number;
  readonly keysSeen: number;
  readonly setsRead: number;
}

interface Work {
  readonly source: NodeRecord;
  readonly target: NodeRecord;
  readonly key: PullKey;
}

/** Another process has moved the document on: the copier has nothing left to do under this view. */
export class ViewEnded extends Error {}

export class Copier {
  readonly #session: Session;
  readonly #view: View;
  readonly #options: CopierOptions;
  readonly #rate: RateLimit;
  #moved = 0;
  #keysSeen = 0;
  #setsDone = 0;

  /** @param view in phase D */
  constructor(session: Session, view: View, options: CopierOptions) {
    this.#session = session;
    this.#view = view;
    this.#options = options;
    this.#rate = new RateLimit(session.clock, options.rate);
  }

  /**
   * Both passes and the dumps.
   * @throws ViewEnded; RingshiftError NODE_DOWN, WOULD_NOT_FIT, MIGRATION_STOPPED
   */
  async run(): Promise<CopyResult> {
    const points = arcsByPoint(this.#view.diff!);
    const sets = points.size;
    this.#options.onProgress({
      step: "copying",
      epoch: this.#view.document.epoch,
      sets,
      resumed: this.#options.done.size > 0,
    });
    await this.#each([...points.keys()], async (point) => {
      if (!this.#options.done.has(point)) await this.#copySet(point, points.get(point)!);
      this.#setsDone++;
      const { keysSeen, moved } = this.#result(sets);
      this.#options.onProgress({ step: "copied", setsDone: this.#setsDone, sets, keysSeen, moved });
    });
    await this.#dumpServers();
    let verified = 0;
    await this.#each([...points.keys()], async (point) => {
      const keys = await this.#verifySet(point);
      verified += keys; // not in one step with the await: several sets are verified at once
    });
    this.#options.onProgress({ step: "verified", keys: verified });
    return this.#result(sets);
  }

  #result(setsRead: number): CopyResult {
    return { moved: this.#moved, keysSeen: this.#keysSeen, setsRead };
  }

  async #copySet(point: number, arcs: readonly Arc[]): Promise<void> {
    let moved = 0;
    for await (const page of entriesOf(this.#session.store, this.#view.document, point)) {
      moved += await this.#pullKeys(page.filter((key) => this.#crosses(key, point)));
      await this.#list(page.filter((key) => this.#arcOf(key, point)?.moves === false));
    }
    if (arcs.length > 0) await this.#options.pointDone(point, moved);
  }

  /** The arc of a key that this point's set is to list; undefined for entries left over from former rings. */
  #arcOf(key: string, point: number): Arc | undefined {
    const arc = this.#view.diff!.find(this.#view.hashOf(key));
    return arc?.fromPoint === point ? arc : undefined;
  }

  /** The key is to be pulled: it moves, and its old owner is not declared dead. */
  #crosses(key: string, point: number): boolean {
    const arc = this.#arcOf(key, point);
    return arc?.moves === true && !isDead(this.#view.document, arc.fromNode);
  }

  /** Keys that stay on their node: they are listed under their points of the new ring. */
  async #list(keys: readonly string[]): Promise<void> {
    const entries = entriesByPoint(this.#view, keys);
    if (entries.length === 0) return;
    const id = await this.#session.store.record(this.#view.document.generation, entries);
    if (id !== this.#view.document.id) throw new ViewEnded();
  }

  /** Answers how many of them this copier moved; a client may have pulled the others. */
  async #pullKeys(keys: readonly string[]): Promise<number> {
    this.#keysSeen += keys.length;
    const routes = keys.map((key) => this.#view.route(key));
    const pairs = new Map<string, Work[]>();
    for (const { key, hash, point, node, source } of routes) {
      const id = `${source!.index} ${node.index}`;
      const work = { source: source!, target: node, key: { key, hash, point } };
      const list = pairs.get(id);
      if (list === undefined) pairs.set(id, [work]);
      else list.push(work);
    }
    let moved = 0;
    for (const works of pairs.values()) {
      for (let from = 0; from < works.length; from += BATCH_KEYS) {
        moved += await this.#pullBatch(works.slice(from, from + BATCH_KEYS));
      }
    }
    return moved;
  }

  async #pullBatch(works: readonly Work[]): Promise<number> {
    const { source, target } = works[0]!;
    await this.#rate.take(works.length, this.#options.signal);
    await this.#options.obey?.();
    const keys = works.map((work) => work.key);
    const options = { unstorable: this.#options.unstorable ?? "stop" } as const;
    const results = await this.#patiently(target, async () => {
      try {
        return await pull(this.#session, this.#view, source, target, keys, options);
      } catch (error) {
        const slow = error instanceof Retry && isRingshiftError(error.cause, "TIMEOUT");
        if (slow && works.length > 1) return undefined; // large values over a slow line: fewer at once
        throw error;
      }
    });
    if (results === undefined) {
      const half = works.length >> 1;
      return (await this.#pullBatch(works.slice(0, half))) + (await this.#pullBatch(works.slice(half)));
    }
    const moved = results.filter((result) => result === "moved").length;
    this.#moved += moved;
    return moved;
  }

  /** Servers whose fence has ` u`, or that the document does not trust since a fail-over of Redis. */
  async #dumpServers(): Promise<void> {
    const { diff, document } = this.#view;
    const losing = new Set(diff!.arcs.flatMap((arc) => (arc.moves ? [arc.fromNode] : [])));
    for (const node of document.previousNodes ?? []) {
      if (!losing.has(node.name) || isDead(document, node.name)) continue;
      const reading = await this.#patiently(node, async () => {
        const asked = await ask(this.#session, this.#view, node, [metaGet(this.#session.namespace.fenceKey)]);
        await requireFence(this.#session, this.#view, node, asked); // a fence that was lost has lost its ` u` too
        return asked;
      });
      if (!reading.fence?.unindexed && !document.untrusted.includes(node.name)) continue;
      this.#options.onProgress({ step: "dumping", node: node.name });
      try {
        await this.#dumpServer(node);
      } catch (error) {
        if (!isRingshiftError(error) || error.code === "WOULD_NOT_FIT" || error.code === "MIGRATION_STOPPED")
          throw error;
        throw stopped(`${node.name} could not list its keys (${error.message})`, error);
      }
    }
  }

  async #dumpServer(node: NodeRecord): Promise<void> {
    for await (const keys of ourKeys(this.#session, node, BATCH_KEYS * CONCURRENCY)) {
      const staying: string[] = [];
      const leaving: string[] = [];
      for (const key of keys) {
        const arc = this.#view.diff!.find(this.#view.hashOf(key));
        if (arc?.moves) {
          if (arc.fromNode === node.name) leaving.push(key);
        } else if (this.#view.owner(this.#view.hashOf(key)).index === node.index) {
          staying.push(key);
        }
      }
      await this.#list(staying); // found on the way: the next migration or verify need not
      await this.#pullKeys(leaving);
    }
  }

  /** Pass 2 over one set: what is found at an old owner is pulled after all. */
  async #verifySet(point: number): Promise<number> {
    let verified = 0;
    for await (const page of entriesOf(this.#session.store, this.#view.document, point)) {
      const keys = page.filter((key) => this.#crosses(key, point));
      verified += keys.length;
      for (let from = 0; from < keys.length; from += MAX_EXCHANGE_COMMANDS) {
        await this.#verifyKeys(keys.slice(from, from + MAX_EXCHANGE_COMMANDS));
      }
    }
    return verified;
  }

  /** All keys are of one point, so of one old owner. */
  async #verifyKeys(keys: readonly string[]): Promise<void> {
    const source = this.#view.route(keys[0]!).source!;
    const result = await this.#patiently(source, async () => {
      const asked = await ask(
        this.#session,
        this.#view,
        source,
        keys.map((key) => metaGet(key, "f")),
      );
      await requireFence(this.#session, this.#view, source, asked);
      return asked;
    });
    const left = keys.filter((_, i) => {
      const reply = result.replies[i]!;
      return reply.status !== "EN" && reply.flags !== PLACEHOLDER_FLAGS;
    });
    this.#keysSeen -= left.length; // counted in pass 1
    await this.#pullKeys(left);
  }

  /** Repeats what rule V sends back, while the document is the same and the server answers now and then. */
  async #patiently<T>(node: NodeRecord, step: () => Promise<T>): Promise<T> {
    const deadline = this.#session.clock.now() + PATIENCE_MS;
    const view = this.#session.enter();
    try {
      for (;;) {
        if (this.#options.signal?.aborted) throw stopped("interrupted");
        if (this.#session.view.document.id !== this.#view.document.id) throw new ViewEnded();
        try {
          return await step();
        } catch (error) {
          if (error instanceof Unstorable) throw wouldNotFit(error);
          if (!(error instanceof Retry)) throw error;
          if (this.#session.clock.now() > deadline) throw stopped(silence(node), error.cause);
        }
        await this.#session.clock.sleep(RETRY_MS);
        await this.#session.refresh();
      }
    } finally {
      this.#session.leave(view);
    }
  }

  async #each(points: readonly number[], work: (point: number) => Promise<void>): Promise<void> {
    const queue = points[Symbol.iterator]();
    let failed = false;
    const worker = async () => {
      for (const point of queue) {
        if (failed) return;
        try {
          await work(point);
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: CONCURRENCY }, worker));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }
}

function stopped(why: string, cause?: unknown): RingshiftError {
  return new RingshiftError(
    "MIGRATION_STOPPED",
    `The migration stopped: ${why}. Reads and writes go on; the same command resumes it.`,
    { cause },
  );
}

function silence({ name }: NodeRecord): string {
  return `${name} does not answer (should it be gone for good: ringshift migration abandon ${name})`;
}

function wouldNotFit(error: Unstorable): RingshiftError {
  return new RingshiftError(
    "WOULD_NOT_FIT",
    `${error.node} cannot store a value of this migration (${error.message}): give it more memory or a larger item size (memcached -m, -I), then run the same command again; or put the ring back with ringshift migration abort.`,
    { node: error.node, key: error.key, cause: error },
  );
}
