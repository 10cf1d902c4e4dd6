/** `demo`: servers of its own, real clients, a server more and a server less. */
import type { Command } from "commander";
import { interruptible } from "./interrupt.ts";
import { globalsOf, positiveInteger } from "./options.ts";

const DEFAULT_KEYS = 20_000;

export function registerDemo(program: Command): void {
  program
    .command("demo")
    .description("grow and shrink a cluster of its own under traffic, and count what is lost (nothing)")
    .option("--keys <count>", "keys to load", positiveInteger, DEFAULT_KEYS)
    .action(async ({ keys }: { keys: number }, command: Command) => {
      const { runDemo } = await import("../demo/demo.ts");
      const { json } = globalsOf(command);
      process.exitCode = await interruptible((signal) => runDemo({ keys, json, signal }));
    });
}
