/** `plan add-node|remove-node|set-weight|set-vnodes ...`: the change's own arguments, and nothing done. */
import type { Command } from "commander";
import { addNodeArguments, addNodeChange } from "./add-node.ts";
import { type ChangeFlags, runPlan } from "./change.ts";
import { globalsOf } from "./options.ts";
import { type RemoveNodeFlags, removeNodeArguments, removeNodeChange } from "./remove-node.ts";
import { setVnodesArguments, setVnodesChange } from "./set-vnodes.ts";
import { setWeightArguments, setWeightChange } from "./set-weight.ts";

export function registerPlan(program: Command): void {
  const plan = program.command("plan").description("show what a change would move, and change nothing");
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
