/**
 * Rule K, copy (docs/protocol.md): every indexed key of the moving arcs is pulled (P), in pipelined batches.
 *
 *   pass 1    sets of the affected points ─► P in batches;  entries whose point changes on the same node ─► listed in the new set
 *   dump      servers whose part of the index may have gaps ─► keys that no set lists ─► P
 *   pass 2    sets that have got entries since before pass 1, and those of an earlier run ─► gets at the old owners, which must all miss
 *
 * Keys of a source that is declared dead are left out: there is nobody to pull them from (abandon.ts).
 * Idempotent and resumable at any set; any number of copiers at once do no harm. Memory: a few batches of values (gather.ts).
 */

import { metaGet } from "../memcached/commands.ts";
import type { Command, Exchanged } from "../memcached/exchange.ts";
import { exchanges, settleAll } from "../protocol/exchanges.ts";
import type { PullOptions } from "../protocol/pull.ts";
import type { Session } from "../protocol/session.ts";
import type { View } from "../protocol/view.ts";
import type { Arc } from "../ring/index.ts";
import type { NodeRecord } from "../topology/document.ts";
import { dumpServers } from "./dump-servers.ts";
import { entriesOf, generationsOf } from "./entries.ts";
import { Gatherer } from "./gather.ts";
import { inParallel } from "./in-parallel.ts";
import { addTo, entriesIn, type MovingKey, MovingKeys, type Tally } from "./moving-keys.ts";
import { patiently, ViewEnded } from "./patience.ts";
import { arcsByPoint } from "./plan.ts";
import type { OnProgress } from "./progress.ts";
import { PullBatches } from "./pull-batches.ts";

/** Sets read at the same time. */
const SETS_READ_AT_ONCE = 4;
/** Keys of one batch of the second pass: four full exchanges. */
const LOOK_KEYS = 252;

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

export class Copier {
  readonly #session: Session;
  readonly #view: View;
  readonly #options: CopierOptions;
  readonly #pulls: PullBatches;
  readonly #points: ReadonlyMap<number, readonly Arc[]>;
  readonly #keys: MovingKeys;
  /** Points whose sets this run has copied: nothing that they listed before is at its old owner any more. */
  readonly #copied = new Set<number>();
  #keysSeen = 0;
  #setsDone = 0;

  /** @param view in phase D */
  constructor(session: Session, view: View, options: CopierOptions) {
    this.#session = session;
    this.#view = view;
    this.#options = options;
    this.#pulls = new PullBatches(session, view, options);
    this.#points = arcsByPoint(view.diff!);
    this.#keys = new MovingKeys(view, this.#points);
  }

  /**
   * Both passes and the dumps.
   * @throws ViewEnded; RingshiftError NODE_DOWN, WOULD_NOT_FIT, MIGRATION_STOPPED
   */
  async run(): Promise<CopyResult> {
    const { onProgress, done } = this.#options;
    const sets = this.#points.size;
    onProgress({ step: "copying", epoch: this.#view.document.epoch, sets, resumed: done.size > 0 });
    const before = await this.#counts();
    await this.#pulling((gatherer) =>
      inParallel(this.#points.keys(), SETS_READ_AT_ONCE, (point) => this.#copySet(point, gatherer)),
    );
    await this.#pulling((gatherer) =>
      dumpServers(this.#session, this.#view, {
        signal: this.#options.signal,
        dumping: (node) => onProgress({ step: "dumping", node }),
        take: (node, keys) => this.#copyDumped(node, keys, gatherer),
      }),
    );
    const after = await this.#counts();
    const points = [...this.#points.keys()];
    const keys = await this.#verify(points.filter((point, i) => !this.#copied.has(point) || after[i] !== before[i]));
    onProgress({ step: "verified", keys });
    return this.#result();
  }

  #result(): CopyResult {
    return { moved: this.#pulls.moved, keysSeen: this.#keysSeen, setsRead: this.#points.size };
  }

  /** `work` gives keys to the gatherer; all have been pulled when this resolves, and none is on its way when it rejects. */
  async #pulling(work: (gatherer: Gatherer<MovingKey>) => Promise<void>): Promise<void> {
    const batch = async (keys: readonly MovingKey[]) => {
      await this.#pulls.pull(keys);
      for (const { tally } of keys) if (--tally.open === 0) await tally.arrived?.();
    };
    await gathering(new Gatherer(pairOf, batch, () => this.#pulls.limit), work);
  }

  async #copySet(point: number, gatherer: Gatherer<MovingKey>): Promise<void> {
    const tally: Tally = { open: 0, moved: 0, arrived: undefined };
    const setDone = async () => {
      this.#copied.add(point);
      await this.#options.pointDone(point, tally.moved);
      this.#setDone();
    };
    if (this.#options.done.has(point)) return this.#setDone();
    for await (const page of entriesOf(this.#session.store, this.#view.document, point)) {
      const staying = new Map<number, string[]>();
      const moving = this.#keys.of(point, page, tally, staying);
      await this.#list(staying);
      tally.open += moving.length;
      this.#keysSeen += moving.length;
      await gatherer.add(moving);
    }
    if (tally.open === 0) await setDone();
    else tally.arrived = setDone;
  }

  #setDone(): void {
    this.#setsDone++;
    const { setsRead: sets, ...counts } = this.#result();
    this.#options.onProgress({ step: "copied", setsDone: this.#setsDone, sets, ...counts });
  }

  /** Keys that stay on their node: they are listed under their points of the new ring. */
  async #list(staying: ReadonlyMap<number, string[]>): Promise<void> {
    if (staying.size === 0) return;
    const id = await this.#session.store.record(this.#view.document.generation, entriesIn(staying));
    if (id !== this.#view.document.id) throw new ViewEnded();
  }

  /** Keys of a dump may be of any point. */
  async #copyDumped(node: NodeRecord, keys: readonly string[], gatherer: Gatherer<MovingKey>): Promise<void> {
    const { diff } = this.#view;
    const staying = new Map<number, string[]>();
    const leaving: MovingKey[] = [];
    const tally: Tally = { open: 0, moved: 0, arrived: undefined };
    for (const key of keys) {
      const hash = this.#view.hashOf(key);
      const arc = diff!.find(hash);
      if (arc?.moves) {
        if (arc.fromNode === node.name) leaving.push(...this.#keys.of(arc.fromPoint, [key], tally));
      } else if (this.#view.owner(hash).index === node.index) {
        addTo(staying, this.#view.route(key, hash).point, key);
      }
    }
    await this.#list(staying); // found on the way: the next migration or verify need not
    tally.open += leaving.length;
    this.#keysSeen += leaving.length;
    await gatherer.add(leaving);
  }

  /**
   * Pass 2: what is found at an old owner is pulled after all. A pull ends with a miss there, under the fence of D, so there is nothing to look
   * for where a set has as many entries as before: nobody removes any while keys move. Answers how many keys were looked at.
   */
  async #verify(points: readonly number[]): Promise<number> {
    let looked = 0;
    await this.#pulling(async (found) => {
      const look = async (keys: readonly MovingKey[]) => {
        await this.#pulls.paceLooks(keys.length);
        await found.add(await this.#stillThere(keys));
      };
      const looks = new Gatherer<MovingKey>(
        ({ source }) => source.index,
        look,
        () => LOOK_KEYS,
      );
      await gathering(looks, () =>
        inParallel(points, SETS_READ_AT_ONCE, async (point) => {
          const tally: Tally = { open: 0, moved: 0, arrived: undefined };
          for await (const page of entriesOf(this.#session.store, this.#view.document, point)) {
            const keys = this.#keys.of(point, page, tally);
            looked += keys.length;
            await looks.add(keys);
          }
        }),
      );
    });
    return looked;
  }

  /** Entries by point, those of a sweep's old and new set added up. */
  async #counts(): Promise<number[]> {
    const { document } = this.#view;
    const points = [...this.#points.keys()];
    const sums = points.map(() => 0);
    for (const generation of generationsOf(document)) {
      const counts = await this.#session.store.counts(generation, points);
      for (const [i, count] of counts.entries()) sums[i]! += count;
    }
    return sums;
  }

  /** Those of one old owner's keys that it has anything under. */
  #stillThere(keys: readonly MovingKey[]): Promise<MovingKey[]> {
    const { source } = keys[0]!;
    return patiently(this.#session, this.#view, source, this.#options.signal, async () => {
      const there: MovingKey[] = [];
      const commands = ({ key }: MovingKey, out: Command[]) => void out.push(metaGet(key));
      const answered = (part: readonly MovingKey[], { replies }: Exchanged) => {
        for (let i = 0; i < part.length; i++) {
          if (replies[i]!.status !== "EN") there.push(part[i]!);
        }
      };
      const asked = { items: keys, perItem: 1, commands, answered, on: undefined };
      await settleAll(exchanges(this.#session, this.#view, source, asked));
      return there;
    });
  }
}

/** Keys of one pair of servers. */
function pairOf({ source, target }: MovingKey): number {
  return source.index * 2 ** 26 + target.index;
}

/** Has `work` give keys to the gatherer, and waits for all batches: none is at work when this ends, however it ends. */
async function gathering<Key>(
  gatherer: Gatherer<Key>,
  work: (gatherer: Gatherer<Key>) => Promise<void>,
): Promise<void> {
  try {
    await work(gatherer);
    await gatherer.end();
  } finally {
    await gatherer.idle();
  }
}
