/** A line of progress to stderr for each step, with the time that is left by the steps so far. */
import type { Measure } from "./measure/stats.ts";

export class Progress {
  readonly #steps: number;
  readonly #began = performance.now();
  readonly #write: (line: string) => void;
  #done = 0;

  constructor(steps: number, write = (line: string): void => void process.stderr.write(`${line}\n`)) {
    this.#steps = steps;
    this.#write = write;
  }

  step(what: string, measure?: Measure): void {
    this.#done++;
    const minutes = (performance.now() - this.#began) / 60_000;
    const left = (minutes / this.#done) * (this.#steps - this.#done);
    const count = `${String(this.#done).padStart(String(this.#steps).length)}/${this.#steps}`;
    const figures =
      measure === undefined
        ? ""
        : `  ${Math.round(measure.opsPerSecond).toLocaleString("en")}/s ${measure.cpuMicrosPerOp.toFixed(2)} µs CPU`;
    const wrong = measure?.wrong ? `  ${measure.wrong} WRONG ANSWERS` : "";
    this.#write(`[${count}, ${Math.max(0, left).toFixed(1)} min left] ${what}${figures}${wrong}`);
  }
}
