/** What a nemesis works with, and what its faults have in common: they are written down, and they last. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../model/random.ts";
import type { Member } from "./crew.ts";
import type { Fleet } from "./fleet.ts";
import type { Operators } from "./operators.ts";
import type { Timeline } from "./timeline.ts";

export interface NemesisOptions {
  readonly fleet: Fleet;
  readonly crew: readonly Member[];
  readonly operators: readonly Operators[];
  readonly timeline: Timeline;
  readonly random: Random;
  readonly clock: () => number;
  readonly log: (text: string) => void;
  /** Between two faults, ms on average. */
  readonly everyMs: number;
  /** Times of long stops and deaths are scaled by this: a short run has short ones. */
  readonly scale: number;
}

/** One run's faults. */
export class Storm {
  readonly options: NemesisOptions;
  /** No fault begins any more, and those under way end early. */
  stopped = false;

  constructor(options: NemesisOptions) {
    this.options = options;
  }

  /** Between the two, scaled; ends at once when the run does. */
  async pause(least: number, most: number): Promise<void> {
    const { clock, random, scale } = this.options;
    const until = clock() + (least + random.next() * (most - least)) * scale;
    while (clock() < until && !this.stopped) await sleep(Math.min(100, until - clock()));
  }

  note(text: string): void {
    this.options.timeline.note(this.options.clock(), text);
    this.options.log(text);
  }
}
