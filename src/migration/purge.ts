/**
 * Rule G, purge (docs/protocol.md): before F, what stands at a gaining server under a key that it is about to gain is a stray of a dead
 * operation, and is deleted by its CAS under a fence check.
 */
import { metaDelete, metaGet } from "../memcached/commands.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import type { View } from "../protocol/view.ts";
import { hashOf, type RingDiff } from "../ring/index.ts";
import type { NodeRecord } from "../topology/document.ts";
import { entriesOf } from "./entries.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";
import { arcsByPoint } from "./plan.ts";

/**
 * @param view the S that the change sets out from. Never a later one: in D the real values stand where strays would
 * @param gaining the nodes of the new ring by name; servers in `empty` were found empty and are passed over
 * @returns strays deleted
 * @throws Retry
 */
export async function purge(
  session: Session,
  view: View,
  diff: RingDiff,
  gaining: ReadonlyMap<string, NodeRecord>,
  empty: ReadonlySet<string>,
): Promise<number> {
  const { document } = view;
  let purged = 0;
  await inParallel(arcsByPoint(diff), SETS_AT_ONCE, async ([point, arcs]) => {
    if (!arcs.some((arc) => arc.moves && !empty.has(arc.toNode))) return;
    for await (const page of entriesOf(session.store, document, point)) {
      const byNode = new Map<string, string[]>();
      for (const key of page) {
        const arc = diff.find(hashOf(key, document.ring.hashTags));
        if (arc?.fromPoint !== point || !arc.moves || empty.has(arc.toNode)) continue;
        byNode.set(arc.toNode, [...(byNode.get(arc.toNode) ?? []), key]);
      }
      for (const [name, keys] of byNode) {
        const strays = await purgeKeys(session, view, gaining.get(name)!, keys);
        purged += strays; // not in one step with the await: several sets are purged at once
      }
    }
  });
  return purged;
}

/**
 * Deletes what stands under the keys on a server that is not their owner under the view, each by its CAS. A key that the server owns by
 * now, since it was judged, is passed over.
 * @throws Retry
 */
export async function purgeKeys(
  session: Session,
  view: View,
  node: NodeRecord,
  keys: readonly string[],
): Promise<number> {
  const foreign = keys.filter((key) => view.owner(view.hashOf(key)).index !== node.index);
  let purged = 0;
  for (let from = 0; from < foreign.length; from += MAX_EXCHANGE_COMMANDS) {
    const part = foreign.slice(from, from + MAX_EXCHANGE_COMMANDS);
    const looked = await ask(
      session,
      view,
      node,
      part.map((key) => metaGet(key, "c")),
    );
    await requireFence(session, view, node, looked);
    const strays = part.flatMap((key, i) => {
      const { cas } = looked.replies[i]!;
      return cas === undefined ? [] : [metaDelete(key, { cas })];
    });
    if (strays.length === 0) continue;
    await requireFence(session, view, node, await ask(session, view, node, strays, looked.connection));
    purged += strays.length;
  }
  return purged;
}
