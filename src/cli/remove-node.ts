/** `remove-node NAME...`: several nodes at once are one migration. */
import type { Command } from "commander";
import type { Change } from "../migration/change.ts";
import { addChangeOptions, addForceOption, type ChangeFlags, runChange } from "./change.ts";
import { globalsOf } from "./options.ts";

export interface RemoveNodeFlags extends ChangeFlags {
  readonly dead?: boolean;
}

export function registerRemoveNode(program: Command): void {
  addChangeOptions(removeNodeArguments(program.command("remove-node"))).action(
    async (names: string[], flags: RemoveNodeFlags, command: Command) => {
      process.exitCode = await runChange(globalsOf(command), removeNodeChange(names, flags), flags);
    },
  );
}

export function removeNodeArguments(command: Command): Command {
  return addForceOption(command)
    .description("move all keys off nodes, live, and take them out of the ring")
    .argument("<name...>", "names of nodes, as ringshift status has them")
    .option("--dead", "the servers are gone for good: nothing is copied from them, their keys are lost and counted");
}

export function removeNodeChange(names: readonly string[], { dead }: RemoveNodeFlags = {}): Change {
  return { kind: "remove-node", names: [...new Set(names)], ...(dead ? { dead } : {}) };
}
