/**
 * The memory of keys recorded lately, so that a key written again and again costs Redis nothing.
 *
 * It holds for the point and the ownership epoch a key was recorded for: a change of the ring voids it for the keys in the changed arcs.
 * Two generations of bounded maps: when the young one is full it becomes the old one, and what was not used since is forgotten.
 */
import type { RingDiff } from "../ring/index.ts";

/** Changes remembered; with more than these the memory starts anew. */
const MAX_CHANGES = 16;

export class RecordedKeys {
  readonly #limit: number;
  /** key → epoch of the view it was recorded under */
  #young = new Map<string, number>();
  #old = new Map<string, number>();
  #changes: { readonly epoch: number; readonly diff: RingDiff }[] = [];

  /** @param limit keys held, at most twice this */
  constructor(limit = 100_000) {
    this.#limit = limit;
  }

  has(key: string, hash: number): boolean {
    let epoch = this.#young.get(key);
    if (epoch === undefined) {
      epoch = this.#old.get(key);
      if (epoch === undefined) return false;
      this.add(key, epoch);
    }
    for (const change of this.#changes) if (change.epoch > epoch && change.diff.find(hash) !== undefined) return false;
    return true;
  }

  add(key: string, epoch: number): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, epoch);
  }

  /** From this epoch on the keys in the arcs of `diff` have another point or owner. */
  changed(epoch: number, diff: RingDiff): void {
    if (this.#changes.length >= MAX_CHANGES) this.clear();
    this.#changes.push({ epoch, diff });
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#changes = [];
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
