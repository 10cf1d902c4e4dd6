/**
 * A destination that dies in D. What has crossed to it is lost, what has not is still at its old owner; so the change goes on, to the new ring
 * without the dead node:
 *
 *   D (A → B) ── D (A → B, it is dead): all its keys wait ── everybody knows, or the hold-off
 *     ── purge what would be gained, count what is lost ── D (A → B without it) ── copy ── S
 *
 * Nothing stale can come of it. A value that still stands at its old owner is the latest: whoever changed it at the new one had killed it there
 * first (P before M). Where the old owner keeps the arc it serves at once; a third node that gains it is purged first (G) and pulls as ever.
 * What the living nodes own in B they own without the dead one too: where that is not so, in the compat rings, it is not given up (abandon.ts).
 * The hold-off is for clients that may still reach the dead server: what they were answered there has ended before others serve its keys.
 */
import type { Session } from "../protocol/session.ts";
import { deadDestinations, type View } from "../protocol/view.ts";
import type { Arc } from "../ring/index.ts";
import { isDead, type NodeRecord, newFenceNumber, successor, type TopologyDocument } from "../topology/document.ts";
import type { ChangeStore } from "../topology/store.ts";
import { destinationsOf, holdOff } from "./abandon.ts";
import { lostKeys, missingAt, repeatedly } from "./dead.ts";
import { entriesOf } from "./entries.ts";
import { addTo } from "./moving-keys.ts";
import { ViewEnded } from "./patience.ts";
import { viewOf } from "./plan.ts";
import type { LostKeys } from "./progress.ts";
import { purge, purgeKeys } from "./purge.ts";

/**
 * Publishes the ring without the dead destinations of the view; any coordinator may. Answers what went with them, by the index.
 * @throws ViewEnded; RingshiftError
 */
export async function giveUp(session: Session, store: ChangeStore, view: View): Promise<LostKeys | undefined> {
  const names = new Set(deadDestinations(view).map((node) => node.name));
  await holdOff(session, view, session.clock.now());
  const next = without(session, view, names);
  const probe = viewOf(next);
  await purgeGained(session, view, probe, names);
  const lost = await countCrossed(session, view, names);
  const { id: operation, command } = next.operation!;
  const moved = (await store.readJournal())?.moved ?? 0;
  const outcome = await store.publish(view.document.id, next, view.document.runId);
  if (outcome !== "published") throw new ViewEnded();
  await store.writeJournal({ operation, command, state: "copying", moved });
  await session.look();
  return lost;
}

/** The document that follows. Its operation has a new id: sets that were copied count no longer, since their keys may go elsewhere now. */
function without(session: Session, { document }: View, names: ReadonlySet<string>): TopologyDocument {
  const nodes = document.nodes.filter((node) => !names.has(node.name));
  const old = new Set(document.previousNodes!.map((node) => node.name));
  const dead = document.dead!.filter((name) => old.has(name)); // an old node that is dead is a dead source of its own arcs
  const fences = Object.fromEntries(
    Object.entries(document.fences).filter(([name]) => !names.has(name) || old.has(name)),
  );
  const operation = { ...document.operation!, id: session.clock.randomId() };
  const next = successor(document, document.runId, { nodes, dead, fences, operation });
  const number = newFenceNumber(document, session.clock.random());
  for (const node of destinationsOf(viewOf(next), dead)) fences[node.name] = number;
  return next;
}

/** G for the arcs that other nodes gain in the dead ones' place. Their keys wait, so what stands there is a stray. */
async function purgeGained(session: Session, view: View, probe: View, names: ReadonlySet<string>): Promise<void> {
  const { nodes } = probe.document;
  const dead = view.document.dead ?? [];
  await repeatedly(session, view, () => purge({ session, view, diff: probe.diff!, nodes, empty: new Set(), dead }));
  for (const arc of arcsTo(view, names)) {
    const keys = await keysOf(session, view, arc, [arc.toPoint]);
    const byNode = new Map<NodeRecord, string[]>();
    for (const key of keys) {
      const hash = view.hashOf(key);
      const [owner, former] = [probe.owner(hash), probe.previousOwner(hash)];
      if (owner.index !== former.index) addTo(byNode, owner, key);
    }
    for (const [node, some] of byNode) await repeatedly(session, view, () => purgeKeys(session, view, node, some));
  }
}

/** Keys that had moved to the dead nodes, or were written there: listed, and not at their old owner. Those of dead sources are counted later. */
async function countCrossed(session: Session, view: View, names: ReadonlySet<string>): Promise<LostKeys> {
  const counts = new Map<Arc, number>();
  for (const arc of arcsTo(view, names)) {
    if (isDead(view.document, arc.fromNode)) continue;
    const source = view.document.previousNodes!.find((node) => node.name === arc.fromNode)!;
    const keys = await keysOf(session, view, arc, [arc.fromPoint, arc.toPoint]);
    const gone = await missingAt(session, view, source, keys);
    if (gone.length > 0) counts.set(arc, gone.length);
  }
  return lostKeys(counts);
}

function arcsTo({ diff }: View, names: ReadonlySet<string>): Arc[] {
  return diff!.arcs.filter((arc) => arc.moves && names.has(arc.toNode));
}

/** The keys of one arc that are listed under any of the points. */
async function keysOf(session: Session, view: View, arc: Arc, points: readonly number[]): Promise<string[]> {
  const keys = new Set<string>();
  for (const point of new Set(points)) {
    for await (const page of entriesOf(session.store, view.document, point)) {
      for (const key of page) if (view.diff!.find(view.hashOf(key)) === arc) keys.add(key);
    }
  }
  return [...keys];
}
