/**
 * The memory of keys recorded lately, so that a key written again and again costs Redis nothing.
 *
 * It holds for the point and the ownership epoch a key was recorded for: a change of the ring voids it for the keys in the changed arcs.
 * Two generations of bounded maps: when the young one is full it becomes the old one, and what was not used since is forgotten. In front of
 * each stands a table of bits by the key's hash: most keys that are not in a map are told by one look there, which is every set of a new
 * key; two maps of 100,000 keys took 7 % of its time.
 */
import type { RingDiff } from "../ring/index.ts";

/** Changes remembered; with more than these the memory starts anew. */
const MAX_CHANGES = 16;

/** 2^20 bits: a tenth of them set by a full map. */
const HASH_SHIFT = 12;

/** key → epoch of the view it was recorded under; and the bits */
class Generation extends Map<string, number> {
  readonly #bits = new Uint8Array(2 ** (32 - HASH_SHIFT - 3));

  note(key: string, hash: number, epoch: number): void {
    const bit = hash >>> HASH_SHIFT;
    this.#bits[bit >>> 3]! |= 1 << (bit & 7);
    this.set(key, epoch);
  }

  find(key: string, hash: number): number | undefined {
    const bit = hash >>> HASH_SHIFT;
    return (this.#bits[bit >>> 3]! & (1 << (bit & 7))) === 0 ? undefined : this.get(key);
  }
}

export class RecordedKeys {
  readonly #limit: number;
  #young = new Generation();
  #old = new Generation();
  #changes: { readonly epoch: number; readonly diff: RingDiff }[] = [];

  /** @param limit keys held, at most twice this */
  constructor(limit = 100_000) {
    this.#limit = limit;
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
      this.#old = this.#young;
      this.#young = new Generation();
    }
    this.#young.note(key, hash, epoch);
  }

  /** From this epoch on the keys in the arcs of `diff` have another point or owner. */
  changed(epoch: number, diff: RingDiff): void {
    if (this.#changes.length >= MAX_CHANGES) this.clear();
    this.#changes.push({ epoch, diff });
  }

  clear(): void {
    this.#young = new Generation();
    this.#old = new Generation();
    this.#changes = [];
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
