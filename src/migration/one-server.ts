/**
 * One server under two names (`127.0.0.1:11211` and `localhost:11211`, a short name and a full one) would be emptied as the new one while it serves
 * as the old one, and what is removed as the one would be gone as the other. The text of an address does not show it. The fence does: an incarnation
 * is drawn at random at each planting, so no two servers have the same.
 */
import { RingshiftError } from "../errors.ts";
import type { Transport } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";
import { standingFence } from "./standing-fence.ts";

/**
 * Compares fences; changes nothing.
 * @param members servers that are known; one that does not answer is passed over
 * @throws RingshiftError NODE_EXISTS, NODE_DOWN
 */
export async function requireOthers(
  transport: Transport,
  namespace: Namespace,
  joining: readonly NodeRecord[],
  members: readonly NodeRecord[],
): Promise<void> {
  const fresh = await Promise.all(joining.map((node) => incarnationOf(transport, namespace, node)));
  if (fresh.every((incarnation) => incarnation === undefined)) return;
  const known = new Map<string, NodeRecord>();
  const theirs = await Promise.all(members.map((node) => orSilent(incarnationOf(transport, namespace, node))));
  for (const [i, incarnation] of theirs.entries()) if (incarnation !== undefined) known.set(incarnation, members[i]!);
  for (const [i, incarnation] of fresh.entries()) {
    if (incarnation === undefined) continue;
    const twin = known.get(incarnation);
    if (twin !== undefined) throw sameServer(joining[i]!, twin);
    known.set(incarnation, joining[i]!);
  }
}

/** Undefined: no fence stands there. @throws RingshiftError */
async function incarnationOf(
  transport: Transport,
  namespace: Namespace,
  node: NodeRecord,
): Promise<string | undefined> {
  return (await standingFence(transport, namespace, node))?.incarnation || undefined;
}

function orSilent(asked: Promise<string | undefined>): Promise<string | undefined> {
  return asked.catch((error: unknown) => {
    if (error instanceof RingshiftError) return undefined;
    throw error;
  });
}

function sameServer(node: NodeRecord, twin: NodeRecord): RingshiftError {
  return new RingshiftError(
    "NODE_EXISTS",
    `${node.name} at ${node.address} is the same server as ${twin.name} at ${twin.address}: name each server once (ringshift status lists the cluster's).`,
    { node: twin.name },
  );
}
