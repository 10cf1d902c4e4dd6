/** Progress on stderr: on a terminal one line that is written over, elsewhere a plain line a second. */
import type { WriteStream } from "node:tty";

export interface ProgressState {
  readonly operations: number;
  readonly failedReads: number;
  readonly staleReads: number;
  /** Keys moved so far, over all changes. */
  readonly moved: number;
  readonly phase: string;
}

const TERMINAL_MS = 100;
const PLAIN_MS = 1_000;
const COLUMNS = ["operations", "failed reads", "stale", "moved"] as const;
const GAP = "   ";
/** Problems printed in words; of the rest only the number is told. */
const MAX_PROBLEMS = 20;
const ERASE_LINE = "\r\u001b[K";

export class ProgressLine {
  readonly #out: Pick<WriteStream, "write" | "isTTY">;
  readonly #state: () => ProgressState;
  readonly #timer: NodeJS.Timeout;
  #drawn = false;
  #problems = 0;

  /** @param state asked for each time something is shown */
  constructor(out: Pick<WriteStream, "write" | "isTTY">, state: () => ProgressState) {
    this.#out = out;
    this.#state = state;
    if (out.isTTY) this.#out.write(`${[...COLUMNS, "phase"].join(GAP)}\n`);
    this.#timer = setInterval(() => this.#show(), out.isTTY ? TERMINAL_MS : PLAIN_MS);
  }

  /** Prints a problem above the line. */
  problem(text: string): void {
    this.#problems++;
    if (this.#problems > MAX_PROBLEMS) return;
    this.#erase();
    this.#out.write(`${text}\n`);
  }

  /** Shows the last state and ends. */
  end(): void {
    clearInterval(this.#timer);
    if (this.#drawn) this.#out.write("\n");
    this.#drawn = false;
    if (this.#problems > MAX_PROBLEMS) this.#out.write(`and ${this.#problems - MAX_PROBLEMS} more problems\n`);
  }

  #show(): void {
    const { operations, failedReads, staleReads, moved, phase } = this.#state();
    const numbers = [operations, failedReads, staleReads, moved].map((number) => number.toLocaleString("en-US"));
    if (this.#out.isTTY) {
      const cells = numbers.map((number, i) => number.padStart(COLUMNS[i]!.length));
      this.#out.write(`${ERASE_LINE}${[...cells, phase].join(GAP)}`);
      this.#drawn = true;
    } else {
      this.#out.write(`${numbers.map((number, i) => `${COLUMNS[i]} ${number}`).join(", ")}, phase ${phase}\n`);
    }
  }

  #erase(): void {
    if (this.#drawn) this.#out.write(ERASE_LINE);
    this.#drawn = false;
  }
}
