/** `init ADDRESS...`: starts a cluster. */
import { readFile } from "node:fs/promises";
import { type Command, Option } from "commander";
import { RingshiftError } from "../errors.ts";
import type { NewNode } from "../migration/change.ts";
import { initCluster } from "../migration/init-cluster.ts";
import { parseServersFile, RING_COMPATS, type RingCompat } from "../ring/index.ts";
import { FROM_FLAG, FROM_HELP, sourceFrom } from "./from-source.ts";
import { type Globals, globalsOf, nodesOf } from "./options.ts";
import { data, json, ok, step, table } from "./output.ts";

interface InitFlags {
  readonly serversFile?: string;
  readonly from?: string;
  readonly ifNeeded?: boolean;
  readonly flush?: boolean;
  readonly adopt?: boolean;
  readonly force?: boolean;
  readonly compat?: RingCompat;
  readonly hashTags?: boolean;
}

export function registerInit(program: Command): void {
  program
    .command("init")
    .description("start a cluster of these servers")
    .argument("[address...]", "host:port, host or [IPv6]:port")
    .option("--servers-file <file>", "servers in ketama's format instead: `name weight [address]` a line")
    .option(FROM_FLAG, `servers that are named elsewhere: ${FROM_HELP}`)
    .option("--if-needed", "a cluster that is there already is as good, whatever its nodes")
    .option("--flush", "delete what the servers hold already")
    .option("--adopt", "keep what the servers hold already; migrations find those keys by asking the servers")
    .option("--force", "take servers that look like a proxy")
    .addOption(new Option("--compat <ring>", "how ring points are placed").choices([...RING_COMPATS]))
    .option("--hash-tags", "hash only what stands in braces, {user:1}:a as user:1; for the life of the cluster")
    .action(async (addresses: string[], flags: InitFlags, command: Command) => {
      const globals = globalsOf(command);
      const nodes = await namedNodes(addresses, flags, globals);
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
async function namedNodes(
  addresses: readonly string[],
  { serversFile, from, flush, adopt }: InitFlags,
  globals: Globals,
): Promise<readonly NewNode[]> {
  if (flush && adopt) throw new RingshiftError("INVALID_OPTION", "--flush deletes what --adopt keeps: give one.");
  const given = [addresses.length > 0, serversFile !== undefined, from !== undefined].filter(Boolean).length;
  if (given !== 1) {
    throw new RingshiftError("INVALID_OPTION", "init takes addresses, or --servers-file FILE, or --from SOURCE.");
  }
  if (from !== undefined) return sourceFrom(from, globals).find();
  if (serversFile === undefined) return nodesOf(addresses);
  const text = await readFile(serversFile, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new RingshiftError("INVALID_OPTION", `--servers-file ${serversFile} cannot be read: ${cause.message}`, {
      cause,
    });
  });
  return parseServersFile(text);
}
