/** `ringshift serve` as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { TOKEN } from "./gateway-support.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Served {
  readonly data: string;
  readonly admin: string;
  readonly process: ChildProcess;
  /** What it wrote to stderr so far. */
  readonly log: string[];
  /** Sends the signal; the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Resolves when both ports are open. @throws Error with what it wrote when it ends before */
export async function serve(args: readonly string[], env: Record<string, string> = {}): Promise<Served> {
  const child = spawn(process.execPath, [MAIN, "serve", "--data-port", "0", "--admin-port", "0", ...args], {
    env: { ...process.env, RINGSHIFT_ADMIN_TOKEN: TOKEN, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const log: string[] = [];
  const [data, admin] = await new Promise<[string, string]>((resolve, reject) => {
    createInterface({ input: child.stderr! }).on("line", (line) => {
      log.push(line);
      const urls = /^\[OK\] Data (\S+), admin (\S+)$/.exec(line);
      if (urls !== null) resolve([urls[1]!, urls[2]!]);
    });
    void exited.then(() => reject(new Error(`serve ended:\n${log.join("\n")}`)));
  });
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    const [code] = await exited;
    return code;
  };
  return { data, admin, process: child, log, end };
}
