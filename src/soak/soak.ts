/** What a soak run is: a promise kept up for long on servers of its own, and the figures it was measured by. */

export interface Outcome {
  /** The promise held. */
  readonly kept: boolean;
  /** Where it did not, in words. */
  readonly problems: readonly string[];
  readonly figures: Readonly<Record<string, number | boolean | string>>;
}

export interface Soak {
  readonly name: string;
  /** The promise. */
  readonly about: string;
  /** Numbers that the command line may set, with their defaults. */
  readonly options: Readonly<Record<string, number>>;
  /** Starts its own servers and ends them, whatever happens. @param progress told how far it is, in words */
  run(options: Readonly<Record<string, number>>, progress: (text: string) => void): Promise<Outcome>;
}

/** Figures of a list of times. */
export function percentiles(times: readonly number[]): { p50: number; p99: number; max: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part: number) => tenths(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: tenths(sorted.at(-1) ?? 0) };
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
