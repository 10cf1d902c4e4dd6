/** `plan add-node|remove-node|set-weight|set-vnodes ...`, or `plan --from SOURCE`: the change's own arguments, and nothing done. */
import type { Command } from "commander";
import { nearest } from "../suggest.ts";
import { addNodeArguments, addNodeChange } from "./add-node.ts";
import { type ChangeFlags, runPlan } from "./change.ts";
import { FROM_FLAG, FROM_HELP, planFrom } from "./from-source.ts";
import { globalsOf } from "./options.ts";
import { type RemoveNodeFlags, removeNodeArguments, removeNodeChange } from "./remove-node.ts";
import { setVnodesArguments, setVnodesChange } from "./set-vnodes.ts";
import { setWeightArguments, setWeightChange } from "./set-weight.ts";

export function registerPlan(program: Command): void {
  const plan = program.command("plan").description("show what a change would move, and change nothing");
  plan
    .option(FROM_FLAG, `the difference to the servers that are named elsewhere: ${FROM_HELP}`)
    .allowExcessArguments()
    .action(async ({ from }: { from?: string }, command: Command) => {
      const [word] = command.args;
      if (word !== undefined) command.error(`error: ${unknownCommand(word, command)}`);
      if (from === undefined) command.help({ error: true });
      process.exitCode = await planFrom(globalsOf(command), from);
    });
  addNodeArguments(plan.command("add-node")).action(
    async (addresses: string[], flags: ChangeFlags, command: Command) => {
      process.exitCode = await runPlan(globalsOf(command), addNodeChange(addresses, flags), flags);
    },
  );
  removeNodeArguments(plan.command("remove-node")).action(
    async (names: string[], flags: RemoveNodeFlags, command: Command) => {
      process.exitCode = await runPlan(globalsOf(command), removeNodeChange(names, flags), flags);
    },
  );
  setWeightArguments(plan.command("set-weight")).action(
    async (name: string, weight: number, flags: ChangeFlags, command: Command) => {
      process.exitCode = await runPlan(globalsOf(command), setWeightChange(name, weight), flags);
    },
  );
  setVnodesArguments(plan.command("set-vnodes")).action(
    async (name: string, vnodes: number, flags: ChangeFlags, command: Command) => {
      process.exitCode = await runPlan(globalsOf(command), setVnodesChange(name, vnodes), flags);
    },
  );
}

function unknownCommand(word: string, command: Command): string {
  const near = nearest(
    word,
    command.commands.map((one) => one.name()),
  );
  return `unknown command '${word}'${near === undefined ? "" : ` (Did you mean ${near}?)`}`;
}
