/**
 * A view: one topology document made ready for routing, and what this process knows under it.
 *
 *            hash ──► ring B (nodes) ──────────► owner, point
 *              └────► diff A→B (F, D, settling) ─► old owner, old point
 *
 * Views are immutable but for their counters; an attempt at an operation works under one view from its first to its last command.
 */
import { type Arc, buildRing, hashOf, type Ring, type RingDiff } from "../ring/index.ts";
import { isDead, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import { nodeRingOf, ringNode } from "./node-ring.ts";

/** Keys that this process has seen arrive at their new owner, at most; the rest cost a look at both servers again. */
const MAX_KNOWN_MOVED = 200_000;

/** Whose attempt it is. */
export interface Caller {
  /** Something of the write may have been sent. */
  begun?: boolean;
  /** Name of the server that it went to, or that is read from. */
  node?: string | undefined;
  /** The caller has been answered: nothing of the write may begin any more. */
  abandoned?: boolean;
}

/** Where one key's commands go under one view. */
export interface Route {
  readonly view: View;
  /** The key as it goes over the wire, latin1 text. */
  readonly key: string;
  readonly hash: number;
  /** `plain`: one server answers for the key. `dual` (phase D, not known to have moved): rules P, M and R at `source` and `node`. */
  readonly kind: "plain" | "dual";
  /** Phase F or D, and the old owner is not the new one. */
  readonly moving: boolean;
  /** The server whose answer counts: in F the old owner, else the new one. */
  readonly node: NodeRecord;
  /** The old owner of a moving key. */
  readonly source: NodeRecord | undefined;
  /** The ring point whose index set lists the key at `node`. */
  readonly point: number;
  /** A placeholder may stand where the key is: conditional commands look first (rule M). */
  readonly careful: boolean;
  /** Told when the write goes out (attempt.ts, `goesOut`); undefined where somebody else keeps that account. */
  caller: Caller | undefined;
}

export class View {
  readonly document: TopologyDocument;
  /** Redis' own run id when the document was last read. */
  redisRunId: string;
  /** Monotonic ms at which the latest read that showed this document began (rule T). */
  confirmedAt: number;
  /** Attempts under way under this view. */
  inFlight = 0;
  /** Servers carry no fences: a client without Redis. */
  readonly unfenced: boolean;
  /** Resolves when another view takes this one's place. */
  readonly superseded: Promise<void>;
  readonly ring: Ring;
  /** In F, D and while settling: the arcs that change point or owner. */
  readonly diff: RingDiff | undefined;
  #supersede!: () => void;
  /** Indexes of nodes that are declared dead while keys move to them: all their keys wait for a ring without them (give-up.ts). */
  readonly #givenUp: ReadonlySet<number> | undefined;
  /** In D and while settling: names of servers that the ring before did not have, so whoever has not heard of the change does not know them. */
  readonly joining: ReadonlySet<string> | undefined;
  readonly #owners: readonly NodeRecord[];
  /** By name: the old ring's nodes. */
  readonly #previous: ReadonlyMap<string, NodeRecord> | undefined;
  readonly #knownMoved = new Set<string>();

  constructor(document: TopologyDocument, redisRunId: string, confirmedAt: number, unfenced = false) {
    this.document = document;
    this.redisRunId = redisRunId;
    this.confirmedAt = confirmedAt;
    this.unfenced = unfenced;
    this.superseded = new Promise((resolve) => {
      this.#supersede = resolve;
    });
    const { compat } = document.ring;
    const own = nodeRingOf(document.nodes, compat);
    this.ring = own.ring;
    this.#owners = own.owners;
    const before = document.previousNodes === null ? undefined : nodeRingOf(document.previousNodes, compat);
    this.diff = before && own.diffFrom(before);
    this.#previous = before?.byName;
    this.joining = joiningServers(document);
    const givenUp = deadDestinations(this);
    if (givenUp.length > 0) this.#givenUp = new Set(givenUp.map((node) => node.index));
  }

  /** False while Redis has failed over since this document was published: the document may not be the latest. */
  get confirmed(): boolean {
    return this.unfenced || this.document.runId === this.redisRunId;
  }

  supersede(): void {
    this.#supersede();
  }

  /** The new ring's owner of a hash. */
  owner(hash: number): NodeRecord {
    return this.#owners[this.ring.ownerAt(this.ring.locate(hash))]!;
  }

  /** The owner before the change under way; the owner itself when there is none. */
  previousOwner(hash: number): NodeRecord {
    const arc = this.diff?.find(hash);
    return arc?.moves ? this.#previous!.get(arc.fromNode)! : this.owner(hash);
  }

  /** Position of a wire key on the rings: of its tag, where the cluster has hash tags. */
  hashOf(key: string): number {
    return hashOf(key, this.document.ring.hashTags);
  }

  /** Object literals of one shape, without spread: this runs for every command. */
  route(key: string, hash = this.hashOf(key)): Route {
    const slot = this.ring.locate(hash);
    const node = this.#owners[this.ring.ownerAt(slot)]!;
    const point = this.ring.pointAt(slot);
    const arc = this.diff?.find(hash);
    if (arc === undefined) {
      const careful = this.#givenUp?.has(node.index) ?? false;
      const caller = undefined;
      return { view: this, key, hash, kind: "plain", moving: false, node, source: undefined, point, careful, caller };
    }
    return this.#routeInChange(key, hash, node, point, arc);
  }

  #routeInChange(key: string, hash: number, owner: NodeRecord, point: number, arc: Arc): Route {
    const { phase } = this.document;
    const [kind, moving, source, caller] = ["plain", false, undefined, undefined] as const;
    if (!arc.moves) {
      const listed = phase === "F" ? arc.fromPoint : point;
      return { view: this, key, hash, kind, moving, node: owner, source, point: listed, careful: false, caller };
    }
    if (phase === "S")
      return { view: this, key, hash, kind, moving, node: owner, source, point, careful: true, caller };
    const old = this.#previous!.get(arc.fromNode)!;
    if (phase === "F") {
      return {
        view: this,
        key,
        hash,
        kind,
        moving: true,
        node: old,
        source: old,
        point: arc.fromPoint,
        careful: false,
        caller,
      };
    }
    const known = this.#knownMoved.has(key);
    const way = known ? "plain" : "dual";
    return { view: this, key, hash, kind: way, moving: true, node: owner, source: old, point, careful: true, caller };
  }

  /** The dead node that an operation has to wait for a later document for; undefined for all others. */
  waitsFor({ node, moving, source }: Route): NodeRecord | undefined {
    const { dead } = this.document;
    if (dead === undefined || dead.length === 0) return undefined;
    if (moving && isDead(this.document, source!.name)) return source;
    return this.#givenUp?.has(node.index) ? node : undefined;
  }

  /** After P: nothing of the key is left at its old owner, nor can it come back there in this phase. */
  rememberMoved(key: string): void {
    if (this.#knownMoved.size >= MAX_KNOWN_MOVED) this.#knownMoved.clear();
    this.#knownMoved.add(key);
  }
}

function joiningServers({ phase, nodes, previousNodes }: TopologyDocument): ReadonlySet<string> | undefined {
  if (previousNodes === null || phase === "F") return undefined;
  const before = new Set(previousNodes.map(({ name }) => name));
  const joining = nodes.filter(({ name }) => !before.has(name));
  return joining.length === 0 ? undefined : new Set(joining.map(({ name }) => name));
}

/** The nodes that are declared dead while keys move to them, in phase D. */
export function deadDestinations({ document, diff }: Pick<View, "document" | "diff">): NodeRecord[] {
  if (document.phase !== "D" || !document.dead?.length) return [];
  const gaining = new Set(diff?.arcs.flatMap((arc) => (arc.moves ? [arc.toNode] : [])));
  return document.nodes.filter(({ name }) => isDead(document, name) && gaining.has(name));
}

/** Rings of fewer nodes are made in a few milliseconds. */
const LARGE_RING_NODES = 64;

/**
 * Makes the rings of a document in slices of the event loop, so that a view of it is made at once afterwards. Undefined when they are small.
 * @param nodes of the new ring, where they are not the document's
 */
export function prepareRings(document: TopologyDocument, nodes = document.nodes): Promise<void> | undefined {
  const lists = [nodes, document.previousNodes ?? document.nodes];
  if (lists.every((list) => list.length < LARGE_RING_NODES)) return undefined;
  const { compat } = document.ring;
  return (async () => {
    for (const list of new Set(lists)) await buildRing(list.map(ringNode), { compat });
  })();
}

/** The ring that a document's nodes make. */
export function ringOf(document: TopologyDocument, nodes: readonly NodeRecord[]): Ring {
  return nodeRingOf(nodes, document.ring.compat).ring;
}
