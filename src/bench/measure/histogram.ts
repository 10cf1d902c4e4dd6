/**
 * Latencies in constant memory: counts in buckets that grow with the value, 64 to each doubling, so a percentile is right to 1.6 %.
 * An array of all latencies would grow by megabytes during a run, and its garbage would count as the client's.
 */

const SUB_BITS = 6;
/** Resolution below a microsecond: a sixteenth. */
const UNITS_PER_MICRO = 16;
const BUCKETS = (31 - SUB_BITS + 2) << SUB_BITS;

export class Histogram {
  readonly #counts = new Float64Array(BUCKETS);
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** @param micros 0 to 134 s; what lies outside counts as the bound */
  add(micros: number, count = 1): void {
    this.#counts[bucketOf(micros)]! += count;
    this.#total += count;
  }

  addAll(other: Histogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#counts[bucket]! += other.#counts[bucket]!;
    this.#total += other.#total;
  }

  /** The value that a share of all values does not exceed, in microseconds; 0 when there is none. */
  percentile(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= rank) return middleOf(bucket);
    }
    return 0;
  }
}

function bucketOf(micros: number): number {
  const units = Math.min(Math.max(Math.round(micros * UNITS_PER_MICRO), 0), 0x7fff_ffff);
  const exponent = 31 - Math.clz32(units | 1);
  if (exponent < SUB_BITS) return units;
  const shift = exponent - SUB_BITS;
  return ((shift + 1) << SUB_BITS) + ((units >>> shift) & ((1 << SUB_BITS) - 1));
}

function middleOf(bucket: number): number {
  const group = bucket >> SUB_BITS;
  if (group === 0) return bucket / UNITS_PER_MICRO;
  const low = ((bucket & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS)) * 2 ** (group - 1);
  return (low + 2 ** (group - 1) / 2) / UNITS_PER_MICRO;
}
