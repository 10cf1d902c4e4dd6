/** `init ADDRESS...`: starts a cluster. */
import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { RingshiftError } from "../errors.ts";
import type { NewNode } from "../migration/change.ts";
import { initCluster } from "../migration/init-cluster.ts";
import { parseServersFile, RING_COMPATS, type RingCompat } from "../ring/index.ts";
import { globalsOf, nodesOf } from "./options.ts";
import { data, json, ok, step, table } from "./output.ts";

interface InitFlags {
  readonly serversFile?: string;
  readonly ifNeeded?: boolean;
  readonly flush?: boolean;
  readonly adopt?: boolean;
  readonly force?: boolean;
  readonly compat?: RingCompat;
}

export function registerInit(program: Command): void {
  program
    .command("init")
    .description("start a cluster of these servers")
    .argument("[address...]", "host:port, host or [IPv6]:port")
    .option("--servers-file <file>", "servers in ketama's format instead: `name weight [address]` a line")
    .option("--if-needed", "a cluster that is there already is as good, whatever its nodes")
    .option("--flush", "delete what the servers hold already")
    .option("--adopt", "keep what the servers hold already; migrations find those keys by asking the servers")
    .option("--force", "take servers that look like a proxy")
    .addOption(new Option("--compat <ring>", "how ring points are placed").choices([...RING_COMPATS]))
    .action(async (addresses: string[], flags: InitFlags, command: Command) => {
      const globals = globalsOf(command);
      const nodes = await namedNodes(addresses, flags);
      for (const node of nodes) step(`Checking ${node.address}`);
      const { document, created } = await initCluster(nodes, { ...globals, ...flags });
      if (globals.json) json({ namespace: globals.namespace, nodes: document.nodes, created });
      else
        data(
          table(
            ["Index", "Node", "Address"],
            document.nodes.map((node) => [node.index, node.name, node.address]),
          ),
        );
      const size = `${document.nodes.length} nodes`;
      ok(created ? `Cluster ${globals.namespace} has ${size}` : `Cluster ${globals.namespace} is there, with ${size}`);
    });
}

/** @throws RingshiftError INVALID_OPTION, NODE_ADDRESS */
async function namedNodes(addresses: readonly string[], { serversFile, flush, adopt }: InitFlags): Promise<NewNode[]> {
  if (flush && adopt) throw new RingshiftError("INVALID_OPTION", "--flush deletes what --adopt keeps: give one.");
  if ((addresses.length === 0) === (serversFile === undefined)) {
    throw new RingshiftError("INVALID_OPTION", "init takes addresses, or --servers-file FILE: one of the two.");
  }
  if (serversFile === undefined) return nodesOf(addresses);
  const text = await readFile(serversFile, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new RingshiftError("INVALID_OPTION", `--servers-file ${serversFile} cannot be read: ${cause.message}`, {
      cause,
    });
  });
  return parseServersFile(text);
}
