/**
 * Index entries per node, read in the background, so that no request waits for a count:
 *
 *   every REFRESH_MS      counts that the recording keeps (entry-counts.ts), one HGETALL ─► summed by the points' owners ─► `counts`
 *   every RECOUNT_MS      the sets are counted, and what is wrong is put right
 *
 * Counts that nobody keeps yet (the first gateway, a new generation after a sweep) are made first.
 */
import { isRingshiftError } from "../errors.ts";
import type { View } from "../protocol/view.ts";
import type { EntryCounts } from "../topology/entry-counts.ts";

/** From the begin of one round to the begin of the next: with its own duration, counts are at most a second old. */
const REFRESH_MS = 500;
/** Only hands that change sets past ringshift make a count wrong. */
const RECOUNT_MS = 600_000;

/** What the counter asks. */
export interface CountSource {
  view(): View;
  readonly entries: Pick<EntryCounts, "read" | "recount">;
}

export class EntryCounter {
  readonly #source: CountSource;
  #counts: ReadonlyMap<number, number> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #round: Promise<void> = Promise.resolve();
  #recountedAt = Number.NEGATIVE_INFINITY;
  /** Grows with every round that changed a count. */
  version = 0;

  constructor(source: CountSource) {
    this.#source = source;
  }

  /** Entries by node index, as of the latest round. Entries may include expired or deleted keys until a sweep. */
  get counts(): ReadonlyMap<number, number> {
    return this.#counts;
  }

  /** The first round, then one every REFRESH_MS until `stop`. */
  async start(): Promise<void> {
    const begun = performance.now();
    this.#round = this.refresh();
    await this.#round;
    if (this.#stopped) return;
    const wait = Math.max(REFRESH_MS / 5, REFRESH_MS - (performance.now() - begun));
    this.#timer = setTimeout(() => void this.start(), wait);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  /** One round. While Redis does not answer the latest counts stand. */
  async refresh(): Promise<void> {
    try {
      await this.#read();
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
    }
  }

  async #read(): Promise<void> {
    const { entries } = this.#source;
    const { document, ring } = this.#source.view();
    const due = performance.now() - this.#recountedAt > RECOUNT_MS;
    let kept = due ? undefined : await entries.read(document);
    if (kept === undefined) {
      await entries.recount(document.generation, ring.getPoints());
      this.#recountedAt = performance.now();
      kept = (await entries.read(document)) ?? new Map();
    }
    const counts = new Map(document.nodes.map((node) => [node.index, 0]));
    const byName = new Map(document.nodes.map((node) => [node.name, node.index]));
    let before = -1;
    for (let slot = 0; slot < ring.size; slot++) {
      const point = ring.pointAt(slot);
      if (point === before) continue; // of equal points the first owns the set
      before = point;
      const index = byName.get(ring.names[ring.ownerAt(slot)]!)!;
      counts.set(index, counts.get(index)! + (kept.get(point) ?? 0));
    }
    if (!same(counts, this.#counts)) this.version++;
    this.#counts = counts;
  }
}

function same(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  return a.size === b.size && [...a].every(([index, count]) => b.get(index) === count);
}
