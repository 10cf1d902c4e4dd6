/**
 * What an edit of the configured nodes means for the cluster. Pure.
 *
 * The *edit* counts, not the difference to the cluster: a node that the observer or an operator has added is not the file's to remove.
 * What the cluster has already is left out, so the same edit can be carried out again, by any process, until nothing is left of it.
 */
import type { Change, NewNode } from "../migration/change.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { NodeSetting } from "./schema.ts";

export interface NodeEdit {
  /** In the order in which to apply them: nodes come, change, go. */
  readonly changes: readonly Change[];
  /** What the edit asks for and no migration can do. */
  readonly problems: readonly string[];
}

/** @param before the nodes before the edit; @param present those of the cluster now */
export function nodeChanges(
  before: readonly NodeSetting[],
  after: readonly NodeSetting[],
  present: readonly NodeRecord[],
): NodeEdit {
  const named = (nodes: readonly NodeSetting[]) => new Map(nodes.map((node) => [node.name ?? node.address, node]));
  const [was, will] = [named(before), named(after)];
  const has = new Map(present.map((node) => [node.name, node]));
  const added: NewNode[] = [];
  const changed: Change[] = [];
  const problems: string[] = [];
  for (const [name, node] of will) {
    const record = has.get(name);
    if (record === undefined) {
      if (!was.has(name)) added.push(newNode(name, node));
      continue;
    }
    const old = was.get(name);
    if (old !== undefined && old.address !== node.address && record.address !== node.address) {
      problems.push(
        `${name}: a node's address is not changed by the file; name the new address as a node of its own in its place, and the keys move there.`,
      );
    }
    const edited = old === undefined || old.weight !== node.weight || old.vnodes !== node.vnodes;
    if (!edited || sameSize(record, node)) continue;
    changed.push(
      node.vnodes === undefined
        ? { kind: "set-weight", name, weight: node.weight ?? 1 }
        : { kind: "set-vnodes", name, vnodes: node.vnodes },
    );
  }
  const removed = [...was.keys()].filter((name) => !will.has(name) && has.has(name));
  const changes: Change[] = [];
  if (added.length > 0) changes.push({ kind: "add-node", nodes: added });
  changes.push(...changed);
  if (removed.length > 0) changes.push({ kind: "remove-node", names: removed });
  return { changes, problems };
}

/** True when the record has the points that the setting asks for. */
function sameSize(record: NodeRecord, node: NodeSetting): boolean {
  if (node.vnodes !== undefined || record.vnodes !== undefined) return node.vnodes === record.vnodes;
  return (node.weight ?? 1) === (record.weight ?? 1);
}

function newNode(name: string, { address, weight, vnodes }: NodeSetting): NewNode {
  return {
    address,
    ...(name === address ? {} : { name }),
    ...(weight === undefined ? {} : { weight }),
    ...(vnodes === undefined ? {} : { vnodes }),
  };
}
