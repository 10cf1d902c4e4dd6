/** `add-node ADDRESS...`: several servers at once are one migration. */
import type { Command } from "commander";
import { RingshiftError } from "../errors.ts";
import type { Change } from "../migration/change.ts";
import { addChangeOptions, addForceOption, type ChangeFlags, runChange } from "./change.ts";
import { globalsOf, nodesOf, positive, positiveInteger } from "./options.ts";

interface AddNodeFlags extends ChangeFlags {
  readonly name?: string;
  readonly weight?: number;
  readonly vnodes?: number;
}

export function registerAddNode(program: Command): void {
  addChangeOptions(addNodeArguments(program.command("add-node"))).action(
    async (addresses: string[], flags: AddNodeFlags, command: Command) => {
      process.exitCode = await runChange(globalsOf(command), addNodeChange(addresses, flags), flags);
    },
  );
}

/** What `add-node` and `plan add-node` take alike. */
export function addNodeArguments(command: Command): Command {
  return addForceOption(command)
    .description("add servers and move their share of the keys to them, live")
    .argument("<address...>", "host:port, host or [IPv6]:port")
    .option("--name <name>", "what is hashed (default: host:port); with one address only")
    .option("--weight <number>", "160 points per unit (default 1)", positive)
    .option("--vnodes <count>", "md5 rounds of four points each, instead of a weight", positiveInteger)
    .option("--flush", "delete what the servers hold already");
}

/** @throws RingshiftError NODE_ADDRESS, INVALID_OPTION */
export function addNodeChange(addresses: readonly string[], { name, weight, vnodes }: AddNodeFlags): Change {
  if (name !== undefined && addresses.length > 1) {
    throw new RingshiftError("INVALID_OPTION", "--name goes with one address: add the servers one by one, or unnamed.");
  }
  const shared = {
    ...(name === undefined ? {} : { name }),
    ...(weight === undefined ? {} : { weight }),
    ...(vnodes === undefined ? {} : { vnodes }),
  };
  return { kind: "add-node", nodes: nodesOf(addresses).map((node) => ({ ...node, ...shared })) };
}
