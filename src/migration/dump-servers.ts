/** The part of rule K for servers whose part of the index may have gaps: they are read by metadump. */
import { type ErrorCode, isRingshiftError } from "../errors.ts";
import { metaGet } from "../memcached/commands.ts";
import { ourKeys } from "../protocol/our-keys.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import type { View } from "../protocol/view.ts";
import { isDead, type NodeRecord } from "../topology/document.ts";
import { patiently, stopped } from "./patience.ts";

/** What ends the pulls of the keys that were listed. */
const NOT_THE_SERVERS: readonly ErrorCode[] = ["WOULD_NOT_FIT", "MIGRATION_STOPPED", "REDIS_UNREACHABLE"];
/** Keys of one page of a dump. */
const PAGE_KEYS = 248;

export interface Dumping {
  readonly signal: AbortSignal | undefined;
  readonly dumping: (node: string) => void;
  readonly take: (node: NodeRecord, keys: readonly string[]) => Promise<void>;
}

/** Reads the losing servers whose fence has ` u`, or that the document does not trust since a fail-over of Redis. */
export async function dumpServers(session: Session, view: View, { signal, dumping, take }: Dumping): Promise<void> {
  const { diff, document } = view;
  const losing = new Set(diff!.arcs.flatMap((arc) => (arc.moves ? [arc.fromNode] : [])));
  for (const node of document.previousNodes ?? []) {
    if (!losing.has(node.name) || isDead(document, node.name)) continue;
    const reading = await patiently(session, view, node, signal, async () => {
      const asked = await ask(session, view, node, [metaGet(session.namespace.fenceKey)]);
      await requireFence(session, view, node, asked); // a fence that was lost has lost its ` u` too
      return asked;
    });
    if (!reading.fence?.unindexed && !document.untrusted.includes(node.name)) continue;
    dumping(node.name);
    try {
      for await (const keys of ourKeys(session, node, PAGE_KEYS)) await take(node, keys);
    } catch (error) {
      if (!isRingshiftError(error) || NOT_THE_SERVERS.includes(error.code)) throw error;
      throw stopped(`${node.name} could not list its keys (${error.message})`, error, node.name);
    }
  }
}
