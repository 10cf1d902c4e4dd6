/** Medians over rounds, and ratios taken round by round: on a noisy machine only what ran side by side compares. */

/** What one turn measured. A field that could not be measured is null. */
export type Figures = { readonly [field: string]: number | null };

/** The fields that every client of every workload has. */
export interface Measure extends Figures {
  readonly opsPerSecond: number;
  readonly cpuMicrosPerOp: number;
  readonly p50Micros: number | null;
  readonly p99Micros: number | null;
}

export interface Ratio {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Client name to what it measured. */
export type Round = Readonly<Record<string, Measure>>;

/** The middle value, the mean of the two in the middle for an even number; 0 for none. */
export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return sorted.length === 0 ? 0 : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Field by field; null where no round has the field. */
export function medianMeasure(measures: readonly Measure[]): Measure {
  const fields = new Set(measures.flatMap((measure) => Object.keys(measure)));
  const medians: Record<string, number | null> = {};
  for (const field of fields) {
    const known = measures.map((measure) => measure[field]).filter((value) => typeof value === "number");
    medians[field] = known.length === 0 ? null : median(known);
  }
  return medians as unknown as Measure;
}

/** `field` of one client over that of another, round by round; undefined where a round lacks one of them. */
export function ratioOf(rounds: readonly Round[], client: string, other: string, field: string): Ratio | undefined {
  const ratios: number[] = [];
  for (const round of rounds) {
    const [above, below] = [round[client]?.[field], round[other]?.[field]];
    if (typeof above !== "number" || typeof below !== "number" || below === 0) continue;
    ratios.push(above / below);
  }
  if (ratios.length === 0) return undefined;
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}
