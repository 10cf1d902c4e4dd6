/** `set-weight NAME WEIGHT`. */
import type { Command } from "commander";
import type { Change } from "../migration/change.ts";
import { addChangeOptions, addForceOption, type ChangeFlags, runChange } from "./change.ts";
import { globalsOf, positive } from "./options.ts";

export function registerSetWeight(program: Command): void {
  addChangeOptions(setWeightArguments(program.command("set-weight"))).action(
    async (name: string, weight: number, flags: ChangeFlags, command: Command) => {
      process.exitCode = await runChange(globalsOf(command), setWeightChange(name, weight), flags);
    },
  );
}

export function setWeightArguments(command: Command): Command {
  return addForceOption(command)
    .description("give a node another weight and move the keys that this concerns, live")
    .argument("<name>", "name of the node, as ringshift status has it")
    .argument("<weight>", "160 points per unit", positive);
}

export function setWeightChange(name: string, weight: number): Change {
  return { kind: "set-weight", name, weight };
}
