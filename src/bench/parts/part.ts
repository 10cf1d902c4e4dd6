/** A part of the benchmark: one or more workloads that are run, and left out, together. */
import type { Pinning } from "../measure/pinning.ts";
import type { Progress } from "../progress.ts";
import type { Results } from "../report/results.ts";

export interface PartOptions {
  readonly rounds: number;
  /** In steady workloads these clients alone. */
  readonly clients?: readonly string[] | undefined;
  /** The number of rounds was asked for: no part takes more of its own accord. */
  readonly insists: boolean;
  /** Measured time of one turn. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** Fewer keys where a part is about many: figures are then no measure of anything. */
  readonly quick: boolean;
  readonly pinning: Pinning;
  readonly progress: Progress;
}

/** Rounds of a part that takes at least so many, unless the caller insists on a number: that counts for all parts. */
export function roundsOf(
  least: number | undefined,
  { rounds, insists }: Pick<PartOptions, "rounds" | "insists">,
): number {
  return insists ? rounds : Math.max(rounds, least ?? 0);
}

export type Outcome = Pick<Results, "workloads" | "ratios">;

export interface Part {
  /** Names of its workloads, as `--only` takes them. */
  readonly names: readonly string[];
  /** Steps that it reports. */
  steps(options: Pick<PartOptions, "rounds" | "insists" | "quick" | "clients">): number;
  run(options: PartOptions): Promise<Outcome>;
}
