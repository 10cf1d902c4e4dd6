/** Collects what `status` shows: the document, the ring's shares, the index' entries, and what the servers say of themselves. */
import type { ServerAccess } from "../memcached/access.ts";
import { metadump, stats } from "../memcached/admin.ts";
import type { Admin } from "../migration/admin.ts";
import type { UnderWay } from "../migration/under-way.ts";
import { ringOf } from "../protocol/view.ts";
import type { Ring } from "../ring/index.ts";
import type { NodeRecord, Phase, TopologyDocument } from "../topology/document.ts";
import { namespaceOf } from "../topology/namespace.ts";

/** As nodetool has them. First letter: up or down. Second: normal, joining, leaving, or moving to another number of points. */
export type NodeState = `${"U" | "D"}${"N" | "J" | "L" | "M"}`;

export interface NodeStatus {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly state: NodeState;
  readonly weight?: number;
  readonly vnodes?: number;
  readonly points: number;
  /** Part of the hash range that it owns, 0 to 1. While keys move: on the new ring. */
  readonly share: number;
  /** Index entries of its points. They may include expired or deleted keys. */
  readonly entries: number;
  /** With `--exact`: live keys of this namespace on the server. Absent where it does not list them. */
  readonly keys?: number;
  // memcached's own statistics, absent while it is down; items are those of all namespaces and ringshift's own
  readonly items?: number;
  readonly bytes?: number;
  readonly limitBytes?: number;
  readonly evictions?: number;
  readonly version?: string;
}

export interface ClusterStatus {
  readonly namespace: string;
  readonly epoch: number;
  readonly phase: Phase;
  readonly settling: boolean;
  /** False after a fail-over of Redis, until the clients have confirmed the document. */
  readonly confirmed: boolean;
  readonly generation: number;
  readonly operation: UnderWay | null;
  readonly nodes: readonly NodeStatus[];
}

interface Holding {
  readonly points: readonly number[];
  readonly share: number;
}

/** @throws RingshiftError REDIS_UNREACHABLE; a server that does not answer is only shown as down */
export async function clusterStatus(
  admin: Admin,
  namespace: string,
  exact: boolean,
  access: ServerAccess = {},
): Promise<ClusterStatus> {
  const operation = await admin.underWay();
  const document = await admin.topology();
  const { epoch, phase, settling, generation } = document;
  const holdings = holdingsOf(ringOf(document, document.nodes));
  const prefix = namespaceOf(namespace).keyPrefix;
  const nodes = listed(document).map(async (node): Promise<NodeStatus> => {
    const leaving = isLeaving(document, node);
    const { points, share } = (leaving ? undefined : holdings.get(node.name)) ?? { points: [], share: 0 };
    const indexed = leaving ? formerPoints(document, node) : points;
    const [counts, server, keys] = await Promise.all([
      admin.counts(indexed),
      serverStats(node.address, access),
      exact ? liveKeys(node.address, prefix, access) : undefined,
    ]);
    const { index, name, address, vnodes } = node;
    return {
      index,
      name,
      address,
      state: `${server === undefined ? "D" : "U"}${leaving ? "L" : stateOf(document, node)}`,
      ...(vnodes === undefined ? { weight: node.weight ?? 1 } : { vnodes }),
      points: points.length,
      share,
      entries: counts.reduce((sum, count) => sum + count, 0),
      ...(keys === undefined ? {} : { keys }),
      ...server,
    };
  });
  return {
    namespace,
    epoch,
    phase,
    settling,
    confirmed: admin.confirmed,
    generation,
    operation: operation ?? null,
    nodes: await Promise.all(nodes),
  };
}

/** The nodes of the ring, and while keys move those that leave. */
function listed(document: TopologyDocument): NodeRecord[] {
  const leaving = (document.previousNodes ?? []).filter((node) => isLeaving(document, node));
  return [...document.nodes, ...leaving].sort((a, b) => a.index - b.index);
}

function isLeaving(document: TopologyDocument, node: NodeRecord): boolean {
  return document.phase !== "S" && !document.nodes.some((other) => other.index === node.index);
}

function stateOf(document: TopologyDocument, node: NodeRecord): "N" | "J" | "M" {
  if (document.phase === "S") return "N";
  const before = document.previousNodes?.find((other) => other.index === node.index);
  if (before === undefined) return "J";
  return before.weight === node.weight && before.vnodes === node.vnodes ? "N" : "M";
}

function formerPoints(document: TopologyDocument, node: NodeRecord): readonly number[] {
  return holdingsOf(ringOf(document, document.previousNodes ?? [])).get(node.name)?.points ?? [];
}

/** Per node its points and their part of the hash range. Of equal points the first owns the arc, the others none. */
function holdingsOf(ring: Ring): Map<string, Holding> {
  const holdings = new Map(ring.names.map((name) => [name, { points: [] as number[], hashes: 0 }]));
  let before = ring.pointAt(ring.size - 1) - 2 ** 32;
  for (let slot = 0; slot < ring.size; slot++) {
    const point = ring.pointAt(slot);
    const holding = holdings.get(ring.names[ring.ownerAt(slot)]!)!;
    holding.points.push(point);
    holding.hashes += point - before;
    before = point;
  }
  return new Map(Array.from(holdings, ([name, { points, hashes }]) => [name, { points, share: hashes / 2 ** 32 }]));
}

async function serverStats(address: string, access: ServerAccess) {
  const found = await stats(address, "", { access }).catch(() => undefined);
  if (found === undefined) return undefined;
  const number = (name: string) => Number(found.get(name) ?? 0);
  return {
    items: number("curr_items"),
    bytes: number("bytes"),
    limitBytes: number("limit_maxbytes"),
    evictions: number("evictions"),
    version: found.get("version") ?? "",
  };
}

async function liveKeys(address: string, prefix: string, access: ServerAccess): Promise<number | undefined> {
  try {
    const keys = new Set<string>(); // a key may come twice
    for await (const key of metadump(address, { access }))
      if (key.startsWith(prefix) && !key.startsWith("ringshift:")) keys.add(key);
    return keys.size;
  } catch {
    return undefined;
  }
}
