/** A cluster's status for a reader. */
import type { ClusterStatus } from "./cluster-status.ts";
import { commandLine } from "./command-line.ts";
import { progressText } from "./migration.ts";
import { count, mebibytes, percent, table } from "./output.ts";

const PHASES = { S: "stable", F: "fencing", D: "moving keys" } as const;

/** The whole of it: a head, a line per node, the change under way. */
export function statusLines(status: ClusterStatus): string[] {
  const { namespace, epoch, phase, settling, confirmed, generation, operation, nodes } = status;
  const exact = nodes.some((node) => node.keys !== undefined);
  const head = ["--", "Node", "Address", "Index", "Weight", "Points", "Share", "Entries"];
  if (exact) head.push("Keys");
  head.push("Items", "Memory MiB", "Evictions", "Version");
  const rows = nodes.map((node) => [
    node.state,
    node.name,
    node.address === node.name ? "=" : node.address,
    node.index,
    node.vnodes === undefined ? `${node.weight}` : `${node.vnodes} vnodes`,
    node.points,
    percent(node.share),
    node.entries,
    ...(exact ? [node.keys === undefined ? "?" : count(node.keys)] : []),
    node.items === undefined ? "?" : count(node.items),
    node.bytes === undefined ? "?" : `${mebibytes(node.bytes)}/${mebibytes(node.limitBytes ?? 0)}`,
    node.evictions === undefined ? "?" : count(node.evictions),
    node.version ?? "?",
  ]);
  return [
    `Cluster ${namespace}: epoch ${epoch}, phase ${phase} (${PHASES[phase]}${settling ? ", settling" : ""}), ${
      confirmed ? "confirmed" : "not confirmed"
    }, generation ${generation}`,
    ...(operation === null
      ? []
      : [
          `Under way: ${commandLine(operation.command)} (${operation.state}), ${progressText(operation)}, ${count(operation.moved)} keys moved`,
        ]),
    "",
    ...table(head, rows),
  ];
}

/** What a watcher is told when it changes; numbers that traffic alone changes are not in it. */
export function statusSummary({ epoch, phase, settling, confirmed, operation, nodes }: ClusterStatus): string {
  const parts = [
    `epoch ${epoch}`,
    `phase ${phase}${settling ? " settling" : ""}`,
    ...(confirmed ? [] : ["not confirmed"]),
    ...(operation === null ? [] : [`${operation.command} (${operation.state}, ${progressText(operation)})`]),
    nodes.map((node) => `${node.state} ${node.name}`).join(", "),
  ];
  return parts.join("; ");
}

/** A problem a line: what makes the status unhealthy. */
export function statusProblems({ confirmed, nodes }: ClusterStatus): string[] {
  return [
    ...nodes
      .filter((node) => node.state.startsWith("D"))
      .map((node) => `${node.name} at ${node.address} does not answer.`),
    ...(confirmed
      ? []
      : ["Redis restarted or failed over: the topology is being confirmed, which needs a running client."]),
  ];
}
