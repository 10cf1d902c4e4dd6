/**
 * A server that dies in D and is given up. One that keys move to: give-up.ts. A source: what needs it answers NODE_DOWN, never a miss, until the operator gives it up:
 *
 *   D ── publish D (it is dead, the destinations of its arcs get new fence numbers) ── raise them ── the other keys are copied
 *     ── everybody knows, or the hold-off ── S
 *
 * The new numbers end every pull from the dead server: a value that was read from it before could otherwise arrive after its key was
 * answered as missing. Between the two documents its keys wait, those that have crossed already too. Any coordinator carries on.
 */
import { RingshiftError } from "../errors.ts";
import { ExchangeError } from "../memcached/transport.ts";
import { raiseFence } from "../protocol/arm.ts";
import type { Session } from "../protocol/session.ts";
import { HOLD_OFF_MS } from "../protocol/settle.ts";
import { deadDestinations, ringOf, type View } from "../protocol/view.ts";
import { diffRings } from "../ring/index.ts";
import {
  allNodes,
  isDead,
  type NodeRecord,
  newFenceNumber,
  nodeByName,
  successor,
  type TopologyDocument,
} from "../topology/document.ts";
import type { ChangeStore } from "../topology/store.ts";
import { requireNode } from "./change.ts";
import { requireDown } from "./dead.ts";
import { ViewEnded } from "./patience.ts";
import { viewOf } from "./plan.ts";

const TRIES = 50;
const POLL_MS = 20;
/** A destination that does not take its new number for this long stops the change. */
const PATIENCE_MS = 15_000;

/**
 * Publishes that a losing or gaining server is dead, and raises the fences of the destinations of what it loses.
 * @throws RingshiftError NODE_UNKNOWN, INVALID_OPTION when there is nothing to abandon or the server answers
 */
export async function markDead(session: Session, store: ChangeStore, name: string): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    const view = await session.look();
    const { document } = view;
    if (document.dead?.includes(name)) return raiseDestinations(session, view).catch(unlessEnded);
    const destinations = destinationsOf(view, [name]);
    const gains = view.diff?.arcs.some((arc) => arc.moves && arc.toNode === name) ?? false;
    if (document.phase !== "D" || (destinations.length === 0 && !gains)) throw nothingToAbandon(document, name);
    if (gains) requireOthers(document, name);
    await requireDown(session, document, [name], "ringshift migration resume carries the change on");
    const number = newFenceNumber(document, session.clock.random());
    const fences = { ...document.fences };
    for (const node of destinations) fences[node.name] = number;
    const next = successor(document, document.runId, { dead: [...(document.dead ?? []), name], fences });
    requireOthersUnchanged(viewOf(next), name);
    const outcome = await store.publish(document.id, next, document.runId);
    if (outcome === "failover") await session.clock.sleep(POLL_MS);
  }
  throw new RingshiftError("MIGRATION_STOPPED", "The topology keeps changing: see ringshift migration status.");
}

/** Brings the fences of the dead servers' destinations to the document's numbers. @throws ViewEnded; RingshiftError NODE_DOWN */
export async function raiseDestinations(session: Session, view: View): Promise<void> {
  const { document } = view;
  const deadline = session.clock.now() + PATIENCE_MS;
  for (const node of destinationsOf(view, document.dead ?? [])) {
    while (!(await raised(session, node, document.fences[node.name]!))) {
      if ((await session.look()).document.id !== document.id) throw new ViewEnded();
      if (session.clock.now() > deadline) {
        const what = `${node.name} takes over from a dead server but does not answer: start a memcached there (empty, should it be gone for good), then run the command again. See ringshift status.`;
        throw new RingshiftError("NODE_DOWN", what, { node: node.name });
      }
      await session.clock.sleep(POLL_MS);
    }
  }
}

/** Until every registered client knows of the servers that are dead, for the hold-off since `since` at most. @throws ViewEnded */
export async function holdOff(session: Session, view: View, since: number): Promise<void> {
  const { document } = view;
  if (!document.dead?.length) return;
  while (session.clock.now() - since < HOLD_OFF_MS) {
    if ((await session.store.unacknowledged(document.epoch)).length === 0) return;
    if ((await session.look()).document.id !== document.id) throw new ViewEnded();
    await session.clock.sleep(POLL_MS);
  }
}

/** The nodes that take over from dead ones. */
export function destinationsOf(view: View, dead: readonly string[]): NodeRecord[] {
  const arcs = view.diff?.arcs.filter((arc) => arc.moves && dead.includes(arc.fromNode)) ?? [];
  return [...new Set(arcs.map((arc) => arc.toNode))].map((name) => nodeByName(view.document, name)!);
}

async function raised(session: Session, node: NodeRecord, number: number): Promise<boolean> {
  try {
    return await raiseFence(session, node, number);
  } catch (error) {
    if (error instanceof ExchangeError) return false;
    throw error;
  }
}

function unlessEnded(error: unknown): void {
  if (!(error instanceof ViewEnded)) throw error;
}

/** @throws RingshiftError LAST_NODE */
function requireOthers(document: TopologyDocument, name: string): void {
  if (document.nodes.some((node) => node.name !== name && !isDead(document, node.name))) return;
  throw new RingshiftError(
    "LAST_NODE",
    `All keys are moving to ${name}: start a memcached at its address again, empty, and the change goes on.`,
    { node: name },
  );
}

/**
 * The ring without the dead destinations leaves what the others own in the new ring as it is. In the compat rings, where a node's points go by the
 * weights of all, it need not: what has crossed to one of them already could belong to another one, or in another set.
 * @param view that names the server dead
 * @throws RingshiftError INVALID_OPTION
 */
function requireOthersUnchanged(view: View, name: string): void {
  const { document, ring } = view;
  const leaving = new Set(deadDestinations(view).map((node) => node.name));
  if (leaving.size === 0) return;
  const left = ringOf(
    document,
    document.nodes.filter((node) => !leaving.has(node.name)),
  );
  if (diffRings(ring, left).arcs.every((arc) => leaving.has(arc.fromNode))) return;
  throw new RingshiftError(
    "INVALID_OPTION",
    `Without ${name} the other nodes of this ring (${document.ring.compat}) would own other keys than those that have moved to them: start a memcached at ${name}'s address again, empty, then ringshift migration resume carries the change on.`,
    { node: name },
  );
}

function nothingToAbandon(document: TopologyDocument, name: string): RingshiftError {
  requireNode(allNodes(document), name);
  const why =
    document.phase === "S" ? "No change is under way" : `The change under way moves no keys from or to ${name}`;
  return new RingshiftError(
    "INVALID_OPTION",
    `${why}: a dead server is taken out with ringshift remove-node --dead ${name}.`,
  );
}
