/** Runs the compiled command line in child processes, against servers of the test's own. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Outcome {
  /** Null when a signal has ended it. */
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A run of the program. */
export class Run {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;
  readonly #seen = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  #changed = () => {};

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [MAIN, ...args], { env: { ...process.env, ...env } });
    this.#closed = once(this.child, "close");
    for (const stream of ["stdout", "stderr"] as const) {
      this.child[stream].on("data", (chunk: Buffer) => {
        this.#seen[stream].push(chunk);
        this.#changed();
      });
    }
    void this.#closed.then(() => this.#changed());
  }

  text(stream: "stdout" | "stderr"): string {
    return Buffer.concat(this.#seen[stream]).toString();
  }

  /** Resolves when the output matches from `start` on; rejects when the program ends before. Answers where the match ends. */
  async until(stream: "stdout" | "stderr", pattern: RegExp, start = 0): Promise<number> {
    for (;;) {
      const match = pattern.exec(this.text(stream).slice(start));
      if (match !== null) return start + match.index + match[0].length;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`ended without ${pattern}:\n${this.text("stdout")}${this.text("stderr")}`);
      }
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  async outcome(): Promise<Outcome> {
    await this.#closed;
    return {
      code: this.child.exitCode,
      stdout: Buffer.concat(this.#seen.stdout),
      stderr: this.text("stderr"),
    };
  }
}

/** The command line against one Redis. */
export class Cli {
  readonly #redis: string;

  constructor(redis: { readonly url: string }) {
    this.#redis = redis.url;
  }

  start(...args: string[]): Run {
    return new Run(args, { RINGSHIFT_REDIS: this.#redis });
  }

  /** Runs to the end; stdin is empty, or `input`. */
  async run(args: readonly string[], input: string | Buffer = ""): Promise<Outcome> {
    const run = this.start(...args);
    run.child.stdin.on("error", () => {}); // a program that does not read its stdin
    run.child.stdin.end(input);
    return run.outcome();
  }

  /** Runs with `--json` and answers the document, which has to be all of stdout. */
  async json<T = Record<string, unknown>>(...args: string[]): Promise<T> {
    const { code, stdout, stderr } = await this.run(["--json", ...args]);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
    return JSON.parse(stdout.toString()) as T;
  }
}

/** What `status --json` says, as far as the tests look at it. */
export interface Status {
  readonly namespace: string;
  readonly epoch: number;
  readonly phase: string;
  readonly settling: boolean;
  readonly confirmed: boolean;
  readonly generation: number;
  readonly operation: {
    readonly command: string;
    readonly state: string;
    readonly moved: number;
    readonly setsDone: number;
    readonly sets: number;
    readonly coordinator?: { readonly pid: number };
  } | null;
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
}

/** Keys and values for a cluster to hold. */
export function sample(count: number): Map<string, string> {
  return new Map(Array.from({ length: count }, (_, i) => [`key:${i}`, `value ${i}`]));
}
