/** The cluster at one moment, as the dashboard and `/api/state` show it: document, ring shares, entries, and what the servers said. */
import { hostname } from "node:os";
import type { UnderWay } from "../../migration/under-way.ts";
import type { NodeHealth, NodeState } from "../../observer/node-watch.ts";
import { ringOf } from "../../protocol/view.ts";
import type { Ring } from "../../ring/index.ts";
import { allNodes, type NodeRecord, type TopologyDocument } from "../../topology/document.ts";

/** What the change under way does to a node. */
export type NodeRole = "normal" | "joining" | "leaving" | "resizing";

export interface NodeView {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly state: NodeState;
  readonly role: NodeRole;
  readonly since: string;
  readonly restarts: number;
  /** Absent where the node has vnodes. */
  readonly weight?: number;
  readonly vnodes?: number;
  readonly points: number;
  /** Part of the hash range that it owns on the new ring, 0 to 1. */
  readonly expectedShare: number;
  /** Part of all index entries that are its, 0 to 1. */
  readonly realShare: number;
  readonly entries: number;
  readonly latencyMs?: number;
  readonly items?: number;
  readonly bytes?: number;
  readonly limitBytes?: number;
  readonly evictions?: number;
  readonly connections?: number;
  /** Hits of all gets since its start, 0 to 1; absent before the first get. */
  readonly hitRatio?: number;
  readonly uptimeSeconds?: number;
  readonly version?: string;
}

export interface MigrationView extends Omit<UnderWay, "state"> {
  /** `preparing`: this gateway checks the servers and reads the index; nothing has changed yet. */
  readonly state: UnderWay["state"] | "preparing";
  /** Keys a second since it began. */
  readonly keysPerSecond: number;
  /** Seconds to its end at the present rate; null: not known yet. */
  readonly etaSeconds: number | null;
}

export interface StateView {
  readonly namespace: string;
  readonly epoch: number;
  readonly phase: TopologyDocument["phase"];
  readonly settling: boolean;
  readonly confirmed: boolean;
  /** True where this process' observer holds the lock. */
  readonly observing: boolean;
  readonly nodes: readonly NodeView[];
  readonly migration: MigrationView | null;
  /** Totals of this gateway's data port. */
  readonly traffic: {
    readonly requests: number;
    /** Of reads of single keys, as `misses`. */
    readonly hits: number;
    readonly misses: number;
    readonly errors: number;
  };
}

/** A node's part of a ring. */
export interface Holding {
  readonly points: number;
  readonly share: number;
}

/** What `nodeViews` is made of. */
export interface NodeSources {
  readonly document: TopologyDocument;
  readonly holdings: ReadonlyMap<string, Holding>;
  readonly health: readonly NodeHealth[];
  /** Entries by node index. */
  readonly counts: ReadonlyMap<number, number>;
}

/** The nodes of the ring and, while keys move, those that leave; in the order of their indexes. */
export function nodeViews({ document, holdings, health, counts }: NodeSources): NodeView[] {
  const entries = document.nodes.reduce((sum, node) => sum + (counts.get(node.index) ?? 0), 0);
  const nodes = document.phase === "S" ? document.nodes : allNodes(document);
  return [...nodes]
    .sort((a, b) => a.index - b.index)
    .map((node): NodeView => {
      const { index, name, address, vnodes } = node;
      const seen = health.find((one) => one.index === index);
      const role = roleOf(document, node);
      const held = role === "leaving" ? undefined : holdings.get(name);
      const own = counts.get(index) ?? 0;
      return {
        index,
        name,
        address,
        state: seen?.state ?? "unknown",
        role,
        since: seen?.since ?? new Date(0).toISOString(),
        restarts: seen?.restarts ?? 0,
        ...(vnodes === undefined ? { weight: node.weight ?? 1 } : { vnodes }),
        points: held?.points ?? 0,
        expectedShare: held?.share ?? 0,
        realShare: entries === 0 ? 0 : own / entries,
        entries: own,
        ...(seen?.latencyMs === undefined ? {} : { latencyMs: Math.round(seen.latencyMs * 10) / 10 }),
        ...statsOf(seen),
      };
    });
}

function statsOf(health: NodeHealth | undefined): Partial<NodeView> {
  if (health?.stats === undefined || health.state === "down") return {};
  const { hits, misses, sets: _, ...stats } = health.stats;
  return { ...stats, ...(hits + misses === 0 ? {} : { hitRatio: hits / (hits + misses) }) };
}

function roleOf(document: TopologyDocument, node: NodeRecord): NodeRole {
  if (document.phase === "S") return "normal";
  if (!document.nodes.some((other) => other.index === node.index)) return "leaving";
  const before = document.previousNodes?.find((other) => other.index === node.index);
  if (before === undefined) return "joining";
  return before.weight === node.weight && before.vnodes === node.vnodes ? "normal" : "resizing";
}

/** Per node its points and share of the document's ring. Of equal points the first owns the arc. */
export function holdingsOf(ring: Ring): Map<string, Holding> {
  const points = new Uint32Array(ring.names.length);
  const hashes = new Float64Array(ring.names.length);
  let before = ring.pointAt(ring.size - 1) - 2 ** 32;
  for (let slot = 0; slot < ring.size; slot++) {
    const owner = ring.ownerAt(slot);
    const point = ring.pointAt(slot);
    points[owner]!++;
    hashes[owner]! += point - before;
    before = point;
  }
  return new Map(ring.names.map((name, i) => [name, { points: points[i]!, share: hashes[i]! / 2 ** 32 }]));
}

/** `holdingsOf`, made once per document. */
export class HoldingsCache {
  #id = "";
  #holdings: ReadonlyMap<string, Holding> = new Map();

  of(document: TopologyDocument): ReadonlyMap<string, Holding> {
    if (this.#id !== document.id) {
      this.#holdings = holdingsOf(ringOf(document, document.nodes));
      this.#id = document.id;
    }
    return this.#holdings;
  }
}

/** A change of this gateway that has not reached the topology document yet. */
export function preparingView({
  command,
  startedAt,
}: {
  readonly command: string;
  readonly startedAt: string;
}): MigrationView {
  const coordinator = { host: hostname(), pid: process.pid };
  const nothing = {
    moved: 0,
    setsDone: 0,
    sets: 0,
    keysPerSecond: 0,
    etaSeconds: null,
    paused: false,
    aborting: false,
    dead: [],
  };
  return { command, startedAt, state: "preparing", coordinator, ...nothing };
}

/** How fast it goes and how long it will take, from what it has done so far. */
export function migrationView(change: UnderWay, nowMs: number): MigrationView {
  const seconds = Math.max(0.001, (nowMs - Date.parse(change.startedAt)) / 1000);
  const { setsDone, sets, state } = change;
  const known = state === "copying" && setsDone > 0;
  return {
    ...change,
    keysPerSecond: Math.round(change.moved / seconds),
    etaSeconds: known ? Math.round((seconds * (sets - setsDone)) / setsDone) : null,
  };
}
