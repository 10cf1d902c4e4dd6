/** What an operator asks for, and the nodes it leads to. Pure. */
import { invalidOption, RingshiftError, shown } from "../errors.ts";
import { requireKnown } from "../known-options.ts";
import { checkNodeName } from "../ring/index.ts";
import type { NodeRecord, TopologyDocument } from "../topology/document.ts";

/** A server to add. The name is what is hashed; by default it is the address. */
export interface NewNode {
  readonly address: string;
  readonly name?: string;
  readonly weight?: number;
  readonly vnodes?: number;
}

export const NEW_NODE_FIELDS = ["address", "name", "weight", "vnodes"] satisfies (keyof NewNode)[];

/** A change of the cluster. Several nodes at once are one migration. */
export type Change =
  | { readonly kind: "add-node"; readonly nodes: readonly NewNode[] }
  | {
      readonly kind: "remove-node";
      readonly names: readonly string[];
      /** The servers are gone for good: nothing is copied from them, their keys are lost. */
      readonly dead?: boolean | undefined;
    }
  | { readonly kind: "set-weight"; readonly name: string; readonly weight: number }
  | { readonly kind: "set-vnodes"; readonly name: string; readonly vnodes: number }
  /** Back to the nodes before an aborted change. A server that has left meanwhile joins anew. */
  | { readonly kind: "restore"; readonly nodes: readonly NodeRecord[] };

/** Each kind with its fields. */
const FIELDS: Readonly<Record<Change["kind"], readonly string[]>> = {
  "add-node": ["kind", "nodes"],
  "remove-node": ["kind", "names", "dead"],
  "set-weight": ["kind", "name", "weight"],
  "set-vnodes": ["kind", "name", "vnodes"],
  restore: ["kind", "nodes"],
};
const KINDS = Object.keys(FIELDS);

/** For callers without types. @throws RingshiftError INVALID_OPTION */
export function checkChange(change: Change): void {
  if (!KINDS.includes(change?.kind)) {
    const given: unknown = (change as Partial<Change> | undefined)?.kind;
    throw invalidOption(`A change is an object whose kind is one of ${KINDS.join(", ")}, not ${shown(given)}.`);
  }
  requireKnown(change.kind, change, FIELDS[change.kind]);
  if (change.kind === "add-node" || change.kind === "restore") {
    const nodes: unknown = change.nodes;
    if (!Array.isArray(nodes) || nodes.some((node) => typeof node?.address !== "string")) {
      throw invalidOption(`${change.kind} has its servers in nodes: [{ address: "127.0.0.1:11211" }].`);
    }
    if (change.kind === "add-node") for (const node of change.nodes) requireKnown("A server", node, NEW_NODE_FIELDS);
  } else if (change.kind === "remove-node") {
    const names: unknown = change.names;
    if (!Array.isArray(names) || names.some((name) => typeof name !== "string")) {
      throw invalidOption('remove-node has its servers in names: ["127.0.0.1:11211"].');
    }
    const dead: unknown = change.dead;
    if (dead !== undefined && typeof dead !== "boolean")
      throw invalidOption(`dead is true or false, not ${shown(dead)}.`);
  } else if (typeof change.name !== "string") {
    throw invalidOption(`${change.kind} has its server in name: "127.0.0.1:11211".`);
  } else {
    const [name, value] = change.kind === "set-weight" ? ["weight", change.weight] : ["vnodes", change.vnodes];
    if (typeof value !== "number") throw invalidOption(`${change.kind} has a number in ${name}, not ${String(value)}.`);
  }
}

/** The command of a change that takes another one back; running it again resumes it. */
export const ABORT_COMMAND = "migration abort";

/** The change as the command line would say it. Equal texts are the same change: a second run resumes the first. */
export function commandText(change: Change): string {
  switch (change.kind) {
    case "add-node":
      return `add-node ${change.nodes.map(describeNode).sort().join(" ")}`;
    case "remove-node":
      return `remove-node ${change.dead ? "--dead " : ""}${[...change.names].sort().join(" ")}`;
    case "set-weight":
      return `set-weight ${change.name} ${change.weight}`;
    case "set-vnodes":
      return `set-vnodes ${change.name} ${change.vnodes}`;
    case "restore":
      return ABORT_COMMAND;
  }
}

/** The nodes that a change declares dead. */
export function deadNames(change: Change): readonly string[] {
  return change.kind === "remove-node" && change.dead ? change.names : [];
}

/**
 * The nodes after the change.
 * @throws RingshiftError NODE_EXISTS, NODE_UNKNOWN, LAST_NODE, INVALID_OPTION
 */
export function applyChange(document: TopologyDocument, change: Change): { nodes: NodeRecord[]; nextIndex: number } {
  const { nodes, nextIndex } = document;
  switch (change.kind) {
    case "add-node":
      if (change.nodes.length === 0) throw noNodes("add-node ADDRESS...");
      return addNodes(nodes, nextIndex, change.nodes);
    case "remove-node": {
      if (change.names.length === 0) throw noNodes("remove-node NAME...");
      for (const name of change.names) requireNode(nodes, name);
      const left = nodes.filter((node) => !change.names.includes(node.name));
      if (left.length === 0) {
        throw new RingshiftError("LAST_NODE", "A cluster needs a node: add another one first (ringshift add-node).");
      }
      return { nodes: left, nextIndex };
    }
    case "set-weight": {
      const { vnodes: _, ...node } = requireNode(nodes, change.name);
      return { nodes: replaceNode(nodes, { ...node, weight: change.weight }), nextIndex };
    }
    case "set-vnodes": {
      const { weight: _, ...node } = requireNode(nodes, change.name);
      return { nodes: replaceNode(nodes, { ...node, vnodes: change.vnodes }), nextIndex };
    }
    case "restore":
      return restoreNodes(nodes, nextIndex, change.nodes);
  }
}

function restoreNodes(nodes: readonly NodeRecord[], nextIndex: number, former: readonly NodeRecord[]) {
  let index = nextIndex;
  const restored = former.map((node) => {
    const present = nodes.some((other) => other.index === node.index);
    return present ? node : { ...node, index: index++ };
  });
  return { nodes: restored, nextIndex: index };
}

function noNodes(usage: string): RingshiftError {
  return new RingshiftError("INVALID_OPTION", `Name at least one node: ringshift ${usage}`);
}

/** The record of a new node under the next free index. */
export function newRecord(node: NewNode, index: number): NodeRecord {
  const { address, name = address } = node;
  checkNodeName(name);
  if (node.weight !== undefined && node.vnodes !== undefined) {
    throw new RingshiftError("INVALID_OPTION", `${name}: give --weight or --vnodes, not both.`);
  }
  return {
    index,
    name,
    address: node.address,
    ...(node.weight === undefined ? {} : { weight: node.weight }),
    ...(node.vnodes === undefined ? {} : { vnodes: node.vnodes }),
  };
}

function addNodes(nodes: readonly NodeRecord[], nextIndex: number, added: readonly NewNode[]) {
  const all = [...nodes];
  let index = nextIndex;
  for (const node of added) {
    const record = newRecord(node, index++);
    const twin = all.find((other) => other.name === record.name || other.address === record.address);
    if (twin !== undefined && !nodes.includes(twin)) {
      throw new RingshiftError("NODE_EXISTS", `${record.name} is named twice.`, { node: record.name });
    }
    if (twin !== undefined) {
      throw new RingshiftError(
        "NODE_EXISTS",
        `${record.name} (${record.address}) is in the cluster already, as ${twin.name} at ${twin.address}: see ringshift status.`,
        { node: twin.name },
      );
    }
    all.push(record);
  }
  return { nodes: all, nextIndex: index };
}

function replaceNode(nodes: readonly NodeRecord[], node: NodeRecord): NodeRecord[] {
  return nodes.map((other) => (other.name === node.name ? node : other));
}

/** The node of this name. @throws RingshiftError NODE_UNKNOWN */
export function requireNode(nodes: readonly NodeRecord[], name: string): NodeRecord {
  const node = nodes.find((other) => other.name === name);
  if (node !== undefined) return node;
  const known = nodes.map((other) => other.name).join(", ");
  throw new RingshiftError("NODE_UNKNOWN", `No node is named ${name}; the cluster has ${known} (ringshift status).`);
}

function describeNode({ address, name, weight, vnodes }: NewNode): string {
  const words = [name === undefined || name === address ? address : `${name}=${address}`];
  if (weight !== undefined) words.push(`weight=${weight}`);
  if (vnodes !== undefined) words.push(`vnodes=${vnodes}`);
  return words.join(",");
}
