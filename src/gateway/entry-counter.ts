/**
 * Index entries per node, asked of Redis in the background, so that no request waits for a count:
 *
 *   every REFRESH_MS:  SCARD of every point's set, pipelined ─► summed by the point's owner ─► `counts`
 *
 * The sets know their size, so this costs Redis no scan: one SCARD a point, 480 for three nodes. A ring so large that one round takes
 * longer than a second makes the counts older than a second.
 */
import { isRingshiftError } from "../errors.ts";
import type { View } from "../protocol/view.ts";

/** From the begin of one round to the begin of the next: with its own duration, counts are at most a second old. */
const REFRESH_MS = 500;

/** What the counter asks; a Session and its store have it. */
export interface CountSource {
  view(): View;
  counts(generation: number, points: readonly number[]): Promise<number[]>;
}

export class EntryCounter {
  readonly #source: CountSource;
  #counts: ReadonlyMap<number, number> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #round: Promise<void> = Promise.resolve();
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
    const view = this.#source.view();
    const points: number[] = [];
    const owners: number[] = [];
    const { ring, document } = view;
    const byName = new Map(document.nodes.map((node) => [node.name, node.index]));
    for (let slot = 0; slot < ring.size; slot++) {
      const point = ring.pointAt(slot);
      if (point === points.at(-1)) continue; // of equal points the first owns the set
      points.push(point);
      owners.push(byName.get(ring.names[ring.ownerAt(slot)]!)!);
    }
    try {
      const sizes = await this.#source.counts(document.generation, points);
      const counts = new Map(document.nodes.map((node) => [node.index, 0]));
      for (const [i, size] of sizes.entries()) counts.set(owners[i]!, counts.get(owners[i]!)! + size);
      if (!same(counts, this.#counts)) this.version++;
      this.#counts = counts;
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
    }
  }
}

function same(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): boolean {
  return a.size === b.size && [...a].every(([index, count]) => b.get(index) === count);
}
