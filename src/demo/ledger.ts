/**
 * The checker: what one process knows about every key, and whether an answer agrees with it.
 *
 * A key's life is a growing *stamp*. Writing version v makes it 2v, deleting that version 2v + 1, so of two states the later one has the
 * higher stamp:
 *
 *     v1 written   v1 deleted   v2 written   v3 written   v3 deleted
 *         2 ─────────── 3 ─────────── 4 ─────────── 6 ─────────── 7
 *
 * Each key has one writing process. It knows the stamp exactly, and nothing else may be read. The other processes know a floor: the
 * highest stamp that they have read themselves, or that the writer told them was acknowledged, before their read began. A value below
 * it is stale, or has come back from the dead.
 *
 * A write that rejected with AMBIGUOUS_WRITE may take effect then, later (its packet may lie in a stopped server's buffer, behind a
 * connection that is gone) or never. What it would make stays admissible, and no version is written twice.
 */

/** `stale`: an older value, one that was deleted, or none of this key's values. `lost`: no value where there is one. */
export type Verdict = "ok" | "stale" | "lost";

/** What was read: a version, nothing, or something that is no value of the key. */
export type Sighting = number | "miss" | "malformed";

/** One of `of` processes; a key's writer is its number modulo `of`. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** Judges an answer by someone who knows the stamp. @param doubts the stamps of writes whose effect is unknown */
export function judgeExactly(stamp: number, doubts: readonly number[], seen: Sighting): Verdict {
  if (fits(stamp, seen) || doubts.some((doubt) => fits(doubt, seen))) return "ok";
  return seen === "miss" ? "lost" : "stale";
}

export class Ledger {
  readonly #share: Share;
  /** Own keys: the stamp. Others: the least stamp that a read begun now may show. */
  readonly #stamps: Int32Array;
  /** By key: the stamps that writes of unknown effect would make. */
  readonly #doubts = new Map<number, number[]>();

  /** All keys stand at version 0, deleted: nothing was ever written. */
  constructor(keys: number, share: Share) {
    this.#share = share;
    this.#stamps = new Int32Array(keys).fill(1);
  }

  owns(index: number): boolean {
    return index % this.#share.of === this.#share.index;
  }

  stamp(index: number): number {
    return this.#stamps[index]!;
  }

  doubts(index: number): readonly number[] {
    return this.#doubts.get(index) ?? [];
  }

  /** Own key: false when it is deleted or was never written. */
  present(index: number): boolean {
    return !isGone(this.stamp(index));
  }

  /** Own key: the version to write next, new also if a write of unknown effect took place. */
  nextVersion(index: number): number {
    return (Math.max(this.stamp(index), ...this.doubts(index)) >> 1) + 1;
  }

  /** The write that makes this stamp was acknowledged: to this process, or to the one that tells it. */
  acknowledged(index: number, stamp: number): void {
    this.#stamps[index] = Math.max(this.stamp(index), stamp);
  }

  /** The write that would make this stamp may take effect, at any time or never. */
  doubtful(index: number, stamp: number): void {
    this.#doubts.set(index, [...this.doubts(index), stamp]);
  }

  /**
   * Judges an answer and learns from it.
   * @param floor the key's `stamp` when the read began; of an own key no write may have begun since
   */
  judge(index: number, floor: number, seen: Sighting): Verdict {
    const doubts = this.doubts(index);
    if (seen === "malformed") return "stale";
    if (this.owns(index)) {
      // a doubtful write that turns out to have followed the last sure one is how things stand
      if (!fits(floor, seen)) this.acknowledged(index, Math.max(0, ...doubts.filter((doubt) => fits(doubt, seen))));
      return judgeExactly(floor, doubts, seen);
    }
    // what stood at the floor is gone: only a later version may be read from now on
    const stamp = seen === "miss" ? floor | 1 : seen * 2;
    if (stamp < floor) return doubts.includes(stamp) ? "ok" : "stale";
    this.acknowledged(index, stamp);
    return "ok";
  }
}

function fits(stamp: number, seen: Sighting): boolean {
  return seen === "miss" ? isGone(stamp) : seen !== "malformed" && seen * 2 === stamp;
}

function isGone(stamp: number): boolean {
  return stamp % 2 === 1;
}
