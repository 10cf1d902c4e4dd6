/**
 * The memory of keys recorded lately, so that a key written again and again costs Redis nothing.
 *
 * It holds for the point and the ownership epoch a key was recorded for: a change of the ring voids it for the keys in the changed arcs.
 * Two generations of bounded tables: when the young one is full it becomes the old one, and what was not used since is forgotten.
 */
import type { RingDiff } from "../ring/index.ts";
import { EpochTable } from "./epoch-table.ts";

/** Changes remembered; with more than these the memory starts anew. */
const MAX_CHANGES = 16;

export class RecordedKeys {
  readonly #limit: number;
  readonly #slots: number | undefined;
  /** Key → epoch of the view it was recorded under. */
  #young: EpochTable;
  #old: EpochTable;
  #changes: { readonly epoch: number; readonly diff: RingDiff }[] = [];

  /**
   * @param limit keys held, at most twice this
   * @param slots of a table to begin with
   */
  constructor(limit = 100_000, slots?: number) {
    this.#limit = limit;
    this.#slots = slots;
    this.#young = new EpochTable(slots);
    this.#old = new EpochTable(slots);
  }

  has(key: string, hash: number): boolean {
    let epoch = this.#young.find(key, hash);
    if (epoch === undefined) {
      epoch = this.#old.find(key, hash);
      if (epoch === undefined) return false;
      this.add(key, hash, epoch);
    }
    for (const change of this.#changes) if (change.epoch > epoch && change.diff.find(hash) !== undefined) return false;
    return true;
  }

  add(key: string, hash: number, epoch: number): void {
    if (this.#young.size >= this.#limit) {
      const forgotten = this.#old;
      this.#old = this.#young;
      this.#young = forgotten;
      forgotten.reset();
    }
    this.#young.note(key, hash, epoch);
  }

  /** From this epoch on the keys in the arcs of `diff` have another point or owner. */
  changed(epoch: number, diff: RingDiff): void {
    if (this.#changes.length >= MAX_CHANGES) this.clear();
    this.#changes.push({ epoch, diff });
  }

  clear(): void {
    this.#young = new EpochTable(this.#slots);
    this.#old = new EpochTable(this.#slots);
    this.#changes = [];
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
