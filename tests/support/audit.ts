/** Looks at servers and index from outside, with no part of the client: where every key is, and where it is listed. */
import { keyHash, Ring } from "../../src/ring/index.ts";
import type { TopologyDocument } from "../../src/topology/document.ts";
import type { TestCluster } from "./bench.ts";

export interface Audit {
  /** What is not as it has to be, in words; empty for a sound cluster. */
  readonly faults: readonly string[];
  /** Live keys by server address. */
  readonly keys: ReadonlyMap<string, ReadonlySet<string>>;
  /** Live keys in all. */
  readonly count: number;
  readonly document: TopologyDocument;
}

/**
 * In a settled cluster: every live key is on its owner and nowhere else, and in the set of its owning point; every entry of every set
 * is in the set of its owning point, so in no other.
 */
export async function audit(cluster: TestCluster): Promise<Audit> {
  const document = JSON.parse((await cluster.documentText()) ?? "null") as TopologyDocument;
  const faults: string[] = [];
  if (document.phase !== "S" || document.settling) faults.push(`not settled: phase ${document.phase}`);
  const ring = ringOfDocument(document);
  const points = await indexSets(cluster, document.generation);
  for (const [point, listed] of points) {
    for (const key of listed) {
      const owning = ring.pointAt(ring.locate(keyHash(key)));
      if (owning !== point) faults.push(`${key} is listed at ${point}, its point is ${owning}`);
    }
  }
  const keys = new Map<string, ReadonlySet<string>>();
  let count = 0;
  for (const address of cluster.bench.local.servers) {
    const live = await cluster.keysOn(address);
    keys.set(address, live);
    count += live.size;
    for (const key of live) {
      const slot = ring.locate(keyHash(key));
      const owner = document.nodes.find((node) => node.name === ring.names[ring.ownerAt(slot)])!;
      if (owner.address !== address) faults.push(`${key} is on ${address}, its owner is ${owner.address}`);
      if (!points.get(ring.pointAt(slot))?.has(key)) faults.push(`${key} is not in the set of its point`);
    }
  }
  return { faults, keys, count, document };
}

export function ringOfDocument(document: TopologyDocument): Ring {
  return new Ring(document.nodes, { compat: document.ring.compat });
}

/** Every set of the index by its point, keys in wire form. */
export async function indexSets(cluster: TestCluster, generation: number): Promise<Map<number, Set<string>>> {
  const { redis } = cluster.bench;
  const pattern = cluster.names.keysOf(generation, 0).replace(/0$/, "");
  const names = await redis.keys(`${pattern}*`);
  const sets = new Map<number, Set<string>>();
  for (const name of names) {
    const members = await redis.smembersBuffer(name);
    sets.set(Number(name.slice(pattern.length)), new Set(members.map((key) => key.toString("latin1"))));
  }
  return sets;
}
