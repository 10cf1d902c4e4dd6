/** `set-vnodes NAME COUNT`. */
import type { Command } from "commander";
import type { Change } from "../migration/change.ts";
import { addChangeOptions, addForceOption, type ChangeFlags, runChange } from "./change.ts";
import { globalsOf, positiveInteger } from "./options.ts";

export function registerSetVnodes(program: Command): void {
  addChangeOptions(setVnodesArguments(program.command("set-vnodes"))).action(
    async (name: string, vnodes: number, flags: ChangeFlags, command: Command) => {
      process.exitCode = await runChange(globalsOf(command), setVnodesChange(name, vnodes), flags);
    },
  );
}

export function setVnodesArguments(command: Command): Command {
  return addForceOption(command)
    .description("give a node another number of vnodes and move the keys that this concerns, live")
    .argument("<name>", "name of the node, as ringshift status has it")
    .argument("<count>", "md5 rounds of four points each, 1 to 4096", positiveInteger);
}

export function setVnodesChange(name: string, vnodes: number): Change {
  return { kind: "set-vnodes", name, vnodes };
}
