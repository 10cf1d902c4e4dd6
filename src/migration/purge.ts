/**
 * Rule G, purge (docs/protocol.md): before F, what stands at a gaining server under a key that it is about to gain is a stray of a dead
 * operation, and is deleted by its CAS under a fence check.
 */
import { metaDelete, metaGet } from "../memcached/commands.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import { keyHash, type RingDiff } from "../ring/index.ts";
import type { NodeRecord } from "../topology/document.ts";
import { arcsByPoint } from "./plan.ts";

/**
 * @param gaining the nodes of the new ring by name; servers in `empty` were found empty and are passed over
 * @returns strays deleted
 * @throws Retry
 */
export async function purge(
  session: Session,
  diff: RingDiff,
  gaining: ReadonlyMap<string, NodeRecord>,
  empty: ReadonlySet<string>,
): Promise<number> {
  const { document } = session.view;
  let purged = 0;
  for (const [point, arcs] of arcsByPoint(diff)) {
    if (!arcs.some((arc) => arc.moves && !empty.has(arc.toNode))) continue;
    for await (const page of session.store.entries(document.generation, point)) {
      const byNode = new Map<string, string[]>();
      for (const key of page) {
        const arc = diff.find(keyHash(key));
        if (arc?.fromPoint !== point || !arc.moves || empty.has(arc.toNode)) continue;
        byNode.set(arc.toNode, [...(byNode.get(arc.toNode) ?? []), key]);
      }
      for (const [name, keys] of byNode) purged += await purgeKeys(session, gaining.get(name)!, keys);
    }
  }
  return purged;
}

async function purgeKeys(session: Session, node: NodeRecord, keys: readonly string[]): Promise<number> {
  const { view } = session;
  let purged = 0;
  for (let from = 0; from < keys.length; from += MAX_EXCHANGE_COMMANDS) {
    const part = keys.slice(from, from + MAX_EXCHANGE_COMMANDS);
    const looked = await ask(
      session,
      node,
      part.map((key) => metaGet(key, "c")),
    );
    await requireFence(session, view, node, looked);
    const strays = part.flatMap((key, i) => {
      const { cas } = looked.replies[i]!;
      return cas === undefined ? [] : [metaDelete(key, { cas })];
    });
    if (strays.length === 0) continue;
    await requireFence(session, view, node, await ask(session, node, strays, looked.connection));
    purged += strays.length;
  }
  return purged;
}
