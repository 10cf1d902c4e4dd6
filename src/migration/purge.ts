/**
 * Rule G, purge (docs/protocol.md): before F, what stands at a gaining server under a key that it is about to gain is a stray of a dead
 * operation, and is deleted by its CAS under a fence check. Strays are looked for under the keys that the index lists, and where it may have gaps
 * under all that the gaining servers hold.
 */
import { metaDelete, metaGet } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged } from "../memcached/exchange.ts";
import { MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { exchanges, settleAll } from "../protocol/exchanges.ts";
import { ourKeys } from "../protocol/our-keys.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import type { View } from "../protocol/view.ts";
import { hashOf, type RingDiff } from "../ring/index.ts";
import type { NodeRecord } from "../topology/document.ts";
import { entriesOf } from "./entries.ts";
import { inParallel, SETS_AT_ONCE } from "./in-parallel.ts";
import { addTo } from "./moving-keys.ts";
import { arcAt, arcsByPoint } from "./plan.ts";

/** Keys that are looked at together: four full exchanges. */
const KEYS_AT_ONCE = 4 * MAX_EXCHANGE_COMMANDS;

export interface Purging {
  readonly session: Session;
  /** The S that the change sets out from. Never a later one: in D the real values stand where strays would. */
  readonly view: View;
  readonly diff: RingDiff;
  /** The nodes of the new ring. */
  readonly nodes: readonly NodeRecord[];
  /** By name: servers that were found empty; passed over. */
  readonly empty: ReadonlySet<string>;
  /** By name: servers that are not asked for their fence. */
  readonly dead: readonly string[];
}

/**
 * Answers how many strays were deleted.
 * @throws Retry; RingshiftError when a server cannot list its keys
 */
export async function purge(purging: Purging): Promise<number> {
  const listed = await purgeListed(purging);
  return (await indexHasGaps(purging)) ? listed + (await purgeHeld(purging)) : listed;
}

async function purgeListed({ session, view, diff, nodes, empty }: Purging): Promise<number> {
  const { document } = view;
  const gaining = new Map(nodes.map((node) => [node.name, node]));
  let purged = 0;
  await inParallel(arcsByPoint(diff), SETS_AT_ONCE, async ([point, arcs]) => {
    if (!arcs.some((arc) => arc.moves && !empty.has(arc.toNode))) return;
    for await (const page of entriesOf(session.store, document, point)) {
      const byNode = new Map<string, string[]>();
      for (const key of page) {
        const arc = arcAt(arcs, hashOf(key, document.ring.hashTags));
        if (arc === undefined || !arc.moves || empty.has(arc.toNode)) continue;
        addTo(byNode, arc.toNode, key);
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
 * What the index lists is not complete for sure: a losing server's part of it, or that of a gaining one, which may hold what was written while Redis
 * did not answer, and arrived when the server had lost the key.
 */
async function indexHasGaps({ session, view, diff, empty, dead }: Purging): Promise<boolean> {
  const { nodes, previousNodes, untrusted } = view.document;
  const concerned = new Set(diff.arcs.flatMap((arc) => (arc.moves ? [arc.fromNode, arc.toNode] : [])));
  if (untrusted.some((name) => concerned.has(name))) return true;
  for (const node of previousNodes ?? nodes) {
    if (!concerned.has(node.name) || empty.has(node.name) || dead.includes(node.name)) continue;
    const asked = await ask(session, view, node, [metaGet(session.namespace.fenceKey)]);
    if (asked.fence?.number === undefined || asked.fence.unindexed) return true; // a fence that was lost has lost its ` u` too
  }
  return false;
}

async function purgeHeld({ session, view, diff, nodes, empty }: Purging): Promise<number> {
  const gaining = new Set(diff.arcs.flatMap((arc) => (arc.moves && !empty.has(arc.toNode) ? [arc.toNode] : [])));
  let purged = 0;
  for (const node of nodes) {
    if (!gaining.has(node.name)) continue;
    for await (const keys of ourKeys(session, node)) {
      const gained = keys.filter((key) => {
        const arc = diff.find(view.hashOf(key));
        return arc?.moves && arc.toNode === node.name;
      });
      purged += await purgeKeys(session, view, node, gained);
    }
  }
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
  for (let from = 0; from < foreign.length; from += KEYS_AT_ONCE) {
    const part = foreign.slice(from, from + KEYS_AT_ONCE);
    const strays: { readonly found: readonly Command[]; readonly connection: ConnectionRef }[] = [];
    const commands = (key: string, out: Command[]) => void out.push(metaGet(key, "c"));
    const answered = (asked: readonly string[], { replies, connection }: Exchanged) => {
      const found = asked.flatMap((key, i) => {
        const { cas } = replies[i]!;
        return cas === undefined ? [] : [metaDelete(key, { cas })];
      });
      if (found.length > 0) strays.push({ found, connection });
    };
    await settleAll(exchanges(session, view, node, { items: part, perItem: 1, commands, answered, on: undefined }));
    const remove = async ({ found, connection }: (typeof strays)[number]) => {
      await requireFence(session, view, node, await ask(session, view, node, found, connection));
      purged += found.length;
    };
    await settleAll(strays.map(remove));
  }
  return purged;
}
