/** What a source names against what the cluster has. Pure. */
import type { Change, NewNode } from "../migration/change.ts";
import type { NodeRecord } from "../topology/document.ts";

export interface Difference {
  /** Named, and not in the cluster. */
  readonly add: readonly NewNode[];
  /** Names of nodes that are in the cluster, and not named. */
  readonly remove: readonly string[];
  /** Nodes of another weight than the source gives them. */
  readonly reweigh: readonly { readonly name: string; readonly weight: number }[];
}

/**
 * A server is the same by its name or by its address. A source that gives no weights leaves them alone, and so does a node that was given
 * vnodes. The address of a node is not the source's to change.
 */
export function differenceOf(found: readonly NewNode[], nodes: readonly NodeRecord[]): Difference {
  const same = ({ name, address }: NewNode) =>
    nodes.find((node) => node.name === (name ?? address)) ?? nodes.find((node) => node.address === address);
  const add: NewNode[] = [];
  const reweigh: { name: string; weight: number }[] = [];
  const kept = new Set<string>();
  for (const server of found) {
    const node = same(server);
    if (node === undefined) add.push(server);
    else {
      kept.add(node.name);
      const { weight } = server;
      if (weight !== undefined && node.vnodes === undefined && weight !== (node.weight ?? 1)) {
        reweigh.push({ name: node.name, weight });
      }
    }
  }
  return { add, remove: nodes.filter(({ name }) => !kept.has(name)).map(({ name }) => name), reweigh };
}

/** The changes that make the cluster what the source says, in the order in which to apply them: what comes makes room for what goes. */
export function changesOf({ add, remove, reweigh }: Difference): Change[] {
  const changes: Change[] = [];
  if (add.length > 0) changes.push({ kind: "add-node", nodes: add });
  for (const { name, weight } of reweigh) changes.push({ kind: "set-weight", name, weight });
  if (remove.length > 0) changes.push({ kind: "remove-node", names: remove });
  return changes;
}
