/**
 * The ring of a list of nodes, and its difference from the ring before it, made once a list.
 *
 * The documents of one change share their lists, and one document is made into several views (by a session, by a plan, to look at what Redis
 * has): a small ring costs less than the objects about it. Lists never change, and what is kept goes with them.
 */
import { diffRings, Ring, type RingDiff, type RingNodeInput } from "../ring/index.ts";
import type { Compat, NodeRecord } from "../topology/document.ts";

export class NodeRing {
  readonly ring: Ring;
  readonly byName: ReadonlyMap<string, NodeRecord>;
  /** By the index of the ring's nodes. */
  readonly owners: readonly NodeRecord[];
  /** By the ring before. Weak: else every ring would hold all that came before it. */
  readonly #diffs = new WeakMap<NodeRing, RingDiff>();

  constructor(nodes: readonly NodeRecord[], compat: Compat) {
    this.ring = new Ring(nodes.map(ringNode), { compat });
    const byName = new Map(nodes.map((node) => [node.name, node]));
    this.byName = byName;
    this.owners = this.ring.nodes.map((node) => byName.get(node.name)!);
  }

  /** The arcs that change from the old ring to this one. A name that has passed to another server is another node. */
  diffFrom(from: NodeRing): RingDiff {
    let diff = this.#diffs.get(from);
    if (diff === undefined) {
      diff = diffRings(from.ring, this.ring, (old, own) => {
        return from.byName.get(old.name)?.index === this.byName.get(own.name)?.index;
      });
      this.#diffs.set(from, diff);
    }
    return diff;
  }
}

const made = new WeakMap<readonly NodeRecord[], NodeRing>();

export function nodeRingOf(nodes: readonly NodeRecord[], compat: Compat): NodeRing {
  let found = made.get(nodes);
  if (found?.ring.compat !== compat) {
    found = new NodeRing(nodes, compat);
    made.set(nodes, found);
  }
  return found;
}

export function ringNode({ name, weight, vnodes }: NodeRecord): RingNodeInput {
  return {
    name,
    ...(weight === undefined ? {} : { weight }),
    ...(vnodes === undefined ? {} : { vnodes }),
  };
}
