/**
 * A server that is gone for good.
 *
 *   before any D   remove-node --dead:     S ── F (dead) ── gaining fences, everybody knows ── S      nothing is copied
 *                  (compat rings, where living nodes' arcs change too:  S ── F (dead) ── D (dead) ── as below)
 *   in D           migration abandon:      D ── D (dead) ── destinations' fences, hold-off ── S       abandon.ts
 *
 * Its keys are lost, and the index says how many. Should it come back it is a stranger: `add-node` refuses a server that holds keys unless
 * they are flushed, so what it still remembers is never served.
 */
import { RingshiftError } from "../errors.ts";
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import { ExchangeError, MAX_EXCHANGE_COMMANDS } from "../memcached/transport.ts";
import { Retry } from "../protocol/outcome.ts";
import type { Session } from "../protocol/session.ts";
import { ask, requireFence } from "../protocol/validate.ts";
import type { View } from "../protocol/view.ts";
import type { Arc } from "../ring/index.ts";
import { allNodes, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import { entriesOf } from "./entries.ts";
import { addTo } from "./moving-keys.ts";
import { ViewEnded } from "./patience.ts";
import { arcsByPoint } from "./plan.ts";
import type { LostArc, LostKeys } from "./progress.ts";

/** A server counts as gone when it has not answered so many times. */
const QUESTIONS = 3;
const BETWEEN_MS = 300;
const RETRY_MS = 10;
const TRIES = 500;

/** @param instead what to do then. @throws RingshiftError INVALID_OPTION when one of the servers answers: what it holds can be moved */
export async function requireDown(
  session: Session,
  document: TopologyDocument,
  names: readonly string[],
  instead = "leave --dead out",
): Promise<void> {
  for (const node of allNodes(document).filter(({ name }) => names.includes(name))) {
    for (let i = 0; i < QUESTIONS; i++) {
      if (i > 0) await session.clock.sleep(BETWEEN_MS);
      if (!(await answers(session, node))) continue;
      throw new RingshiftError(
        "INVALID_OPTION",
        `${node.name} at ${node.address} answers, so it is not dead and its keys need not be lost: ${instead}.`,
        { node: node.name },
      );
    }
  }
}

async function answers(session: Session, node: NodeRecord): Promise<boolean> {
  try {
    await session.transport.exchange(node, [metaGet(session.namespace.fenceKey)]);
    return true;
  } catch (error) {
    if (error instanceof ExchangeError) return false;
    throw error;
  }
}

/**
 * What the index lists for the dead servers, arc by arc. In D (after the hold-off) without the keys that had reached their new owner.
 * Undefined when no server is dead or the change has settled already.
 * @throws RingshiftError
 */
export async function countLost(session: Session, view: View, dead: readonly string[]): Promise<LostKeys | undefined> {
  if (dead.length === 0 || view.diff === undefined) return undefined;
  const counts = new Map<Arc, number>();
  for (const point of arcsByPoint(view.diff).keys()) {
    const keys = new Set<string>();
    for await (const page of entriesOf(session.store, view.document, point)) for (const key of page) keys.add(key);
    const listed = [...keys].filter((key) => {
      const arc = view.diff!.find(view.hashOf(key));
      return arc?.moves === true && arc.fromPoint === point && dead.includes(arc.fromNode);
    });
    const lost = view.document.phase === "D" ? await missing(session, view, listed) : listed;
    for (const key of lost) {
      const arc = view.diff.find(view.hashOf(key))!;
      counts.set(arc, (counts.get(arc) ?? 0) + 1);
    }
  }
  return lostKeys(counts);
}

/** The counts by arc, in hash order. */
export function lostKeys(counts: ReadonlyMap<Arc, number>): LostKeys {
  const arcs = Array.from(counts, ([arc, count]): LostArc => {
    return { after: arc.after, upTo: arc.upTo, from: arc.fromNode, to: arc.toNode, keys: count };
  });
  return sum(arcs);
}

/** What was counted in two steps. */
export function together(one: LostKeys | undefined, other: LostKeys | undefined): LostKeys | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return sum([...one.arcs, ...other.arcs]);
}

function sum(arcs: readonly LostArc[]): LostKeys {
  const sorted = [...arcs].sort((a, b) => a.after - b.after);
  return { keys: arcs.reduce((total, { keys }) => total + keys, 0), arcs: sorted };
}

/** Those of the keys that their new owner does not hold. */
async function missing(session: Session, view: View, keys: readonly string[]): Promise<string[]> {
  const byOwner = new Map<NodeRecord, string[]>();
  for (const key of keys) addTo(byOwner, view.owner(view.hashOf(key)), key);
  const gone: string[][] = [];
  for (const [owner, owned] of byOwner) gone.push(await missingAt(session, view, owner, owned));
  return gone.flat();
}

/** Those of the keys that the node does not hold. */
export async function missingAt(
  session: Session,
  view: View,
  node: NodeRecord,
  keys: readonly string[],
): Promise<string[]> {
  const gone: string[] = [];
  for (let from = 0; from < keys.length; from += MAX_EXCHANGE_COMMANDS) {
    const part = keys.slice(from, from + MAX_EXCHANGE_COMMANDS);
    const { replies } = await repeatedly(session, view, async () => {
      const commands = part.map((key) => metaGet(key, "f"));
      const asked = await ask(session, view, node, commands);
      await requireFence(session, view, node, asked);
      return asked;
    });
    gone.push(...part.filter((_, i) => replies[i]!.status === "EN" || replies[i]!.flags === PLACEHOLDER_FLAGS));
  }
  return gone;
}

/** Repeats what rule V sends back, while the document is the same. @throws ViewEnded; RingshiftError when a server stays away */
export async function repeatedly<T>(session: Session, view: View, step: () => Promise<T>): Promise<T> {
  for (let i = 0; ; i++) {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof Retry)) throw error;
      if (i >= TRIES) throw error.cause instanceof RingshiftError ? error.cause : stays();
      await session.clock.sleep(RETRY_MS);
      await session.refresh();
      if (session.view.document.id !== view.document.id) throw new ViewEnded();
    }
  }
}

function stays(): RingshiftError {
  return new RingshiftError("NODE_DOWN", "A server does not show its fence: see ringshift status.");
}
