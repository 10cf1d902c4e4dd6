/**
 * Rule V, validate after (docs/protocol.md): every flush ends with a get of the server's fence, on the same connection. What the fence
 * shows decides whether the replies before it count.
 *
 *   fence = document's        accepted; at a server that joins, while Redis is away: if the old owner's fence is the document's too
 *   fence newer               nothing on a moving key; a key that kept its owner through every epoch since is accepted after all
 *   fence missing or lower    Redis is asked, by a read that begins after the replies arrived
 *   no answer                 (exchange.ts: reads are retried, writes are ambiguous)
 */
import type { RingshiftError } from "../errors.ts";
import { metaGet } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged } from "../memcached/exchange.ts";
import { ExchangeError } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import { Coalesced } from "./coalesced.ts";
import { Ambiguous, Retry } from "./outcome.ts";
import { plantQuietly } from "./plant.ts";
import type { Session } from "./session.ts";
import { HOLD_OFF_MS } from "./settle.ts";
import type { Route, View } from "./view.ts";

/** Sends commands that may be sent again, under the view they were decided by: reads, the protocol's own idempotent steps. @throws Retry */
export function ask(
  session: Session,
  view: View,
  node: NodeRecord,
  commands: readonly Command[],
  on?: ConnectionRef,
): Promise<Exchanged> {
  return send(session, view, node, commands, on, false);
}

/**
 * Sends a caller's write.
 * @param fresh only while Redis has shown the view lately: not through the gate that is open because Redis does not answer
 * @throws Retry when nothing of it was sent, Ambiguous when it may have run
 */
export function tell(
  session: Session,
  view: View,
  node: NodeRecord,
  commands: readonly Command[],
  on?: ConnectionRef,
  fresh = false,
): Promise<Exchanged> {
  return send(session, view, node, commands, on, true, fresh);
}

async function send(
  session: Session,
  view: View,
  node: NodeRecord,
  commands: readonly Command[],
  on: ConnectionRef | undefined,
  write: boolean,
  fresh = false,
): Promise<Exchanged> {
  const mayFlush = () => session.gateOpen(view) && (!fresh || session.isFresh(view));
  try {
    return await session.transport.exchange(node, commands, on, mayFlush);
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error;
    const acted = error.sent && (write || commands.some(acts));
    if (acted) session.linger(view, HOLD_OFF_MS);
    throw unanswered(error, write, acted);
  }
}

/** False for a get without a new expiry: it changes nothing, however late it arrives. */
function acts({ line }: Command): boolean {
  return !line.startsWith("mg ") || line.includes(" T");
}

/**
 * What an exchange without replies means for its attempt. A gate that was shut (rule T) is no failure of the server, so it is no cause.
 * Whoever sent something that acts, and cannot know whether it still arrives, lets its epoch `linger` for the hold-off.
 */
export function unanswered(failure: ExchangeError, write: boolean, acted = false): Retry | Ambiguous | RingshiftError {
  if (failure.gate) return new Retry();
  if (failure.error.code === "NOT_SUPPORTED") return failure.error; // by the connection, on whatever attempt
  return failure.sent && write ? new Ambiguous(failure.error) : new Retry(failure.error, acted);
}

/**
 * The short form of V: the fence is the document's, so the replies count. False: ask `accepted`. Enough by itself where the route is not
 * careful (view.ts): at a server that joins the old owner's fence may have to be asked for too.
 */
export function fenceStands(route: Route, result: Exchanged): boolean {
  const { view, node } = route;
  if (view.unfenced) return true;
  if (route.moving && view.document.phase === "F") return false;
  return result.fence !== undefined && result.fence.number === view.document.fences[node.name];
}

/** Rule V for replies of the server that answers for the key. */
export async function accepted(session: Session, route: Route, result: Exchanged): Promise<boolean> {
  if (fenceStands(route, result)) return !session.needsOldFence(route) || oldFenceStands(session, route);
  const { view, node } = route;
  const number = result.fence?.number;
  const missingOrLower = isMissingOrLower(view, node, number);
  if (view.document.phase === "D" && route.moving) {
    if (missingOrLower) await plantQuietly(session, node);
    return false;
  }
  const seen = await session.look();
  if (missingOrLower && seen.document.id === view.document.id && view.document.phase === "S") {
    void plantQuietly(session, node);
  }
  return accountable(route, seen, number);
}

/** Throws unless the replies count. */
export async function requireAccepted(
  session: Session,
  route: Route,
  result: Exchanged,
  write: boolean,
): Promise<void> {
  let ok = fenceStands(route, result) && !session.needsOldFence(route);
  if (!ok) {
    try {
      ok = await accepted(session, route, result);
    } catch (error) {
      doubt(session, route, result);
      throw write ? new Ambiguous(error) : new Retry(error);
    }
  }
  if (ok) {
    session.doubted.delete(route.node.name);
    return;
  }
  doubt(session, route, result);
  throw write ? new Ambiguous() : new Retry();
}

/** Also where the fence is newer and Redis does not show its document. */
function doubt(session: Session, route: Route, { fence }: Exchanged): void {
  const { name } = route.node;
  const stands = fence !== undefined && fence.number === session.view.document.fences[name];
  if (!stands || session.needsOldFence(route)) session.doubted.add(name);
}

function isMissingOrLower({ document }: View, { name }: NodeRecord, number: number | undefined): boolean {
  return number === undefined || number < (document.fences[name] ?? 0);
}

/**
 * Before a write to a server in doubt: its fence is asked for alone, and nothing is sent until that reply would count. The write would
 * most likely be ambiguous, now it waits. @throws Retry
 */
export async function vouched(session: Session, route: Route): Promise<void> {
  if (!session.doubted.has(route.node.name)) return;
  const asked = await ask(session, route.view, route.node, [metaGet(session.namespace.fenceKey)]);
  await requireAccepted(session, route, asked, false);
}

/** In D, at the old or the new owner of a moving key: the fence has to be the document's. @throws Retry */
export async function requireFence(session: Session, view: View, node: NodeRecord, result: Exchanged): Promise<void> {
  const expected = view.document.fences[node.name];
  const number = result.fence?.number;
  if (number !== undefined && number === expected) return;
  if (isMissingOrLower(view, node, number)) await plantQuietly(session, node);
  throw new Retry();
}

/** As `requireFence` at the new owner, where the replies are the answer. @throws Retry */
export async function requireOwner(session: Session, route: Route, result: Exchanged): Promise<void> {
  await requireFence(session, route.view, route.node, result);
  if (session.needsOldFence(route) && !(await oldFenceStands(session, route))) throw new Retry();
}

/** Looks at old owners' fences that are under way, by name. */
const looks = new WeakMap<View, Map<string, Coalesced<boolean>>>();

/**
 * The key's old owner shows the document's fence, by a look that begins now. Whoever goes by the ring before cannot have had an answer there that
 * counts until then. Those who ask at one time share the look.
 */
function oldFenceStands(session: Session, { view, source, hash }: Route): Promise<boolean> {
  const ofView = looks.get(view) ?? new Map<string, Coalesced<boolean>>();
  looks.set(view, ofView);
  const old = source ?? view.previousOwner(hash);
  const look = ofView.get(old.name) ?? new Coalesced(() => showsFence(session, view, old));
  ofView.set(old.name, look);
  return look.run();
}

async function showsFence(session: Session, view: View, node: NodeRecord): Promise<boolean> {
  try {
    const { fence } = await ask(session, view, node, [metaGet(session.namespace.fenceKey)]);
    return fence !== undefined && fence.number === view.document.fences[node.name];
  } catch (error) {
    if (error instanceof Retry) return false;
    throw error;
  }
}

/** What the document that Redis has now says of replies with this fence number. */
function accountable(route: Route, seen: View, number: number | undefined): boolean {
  const { hash, node } = route;
  const fence = seen.document.fences[node.name];
  if (fence === undefined) return false;
  const [owner, previous] = [seen.owner(hash), seen.previousOwner(hash)];
  const moving = seen.document.phase !== "S" && owner.index !== previous.index;
  if (number !== undefined && number > fence) return false; // newer than Redis: accept nothing through Redis
  if (moving && (number === undefined || number >= fence)) return false; // raised in F: D may have been published and forgotten
  if ((number === undefined || number < fence) && !seen.confirmed) return false;
  return keptOwner(route, seen);
}

/** The key had `route.node` as its owner in every epoch from the view's to the seen one. */
function keptOwner(route: Route, seen: View): boolean {
  const { hash, node, view } = route;
  const [from, to] = [view.document, seen.document];
  const owner = seen.owner(hash).index === node.index;
  const previous = seen.previousOwner(hash).index === node.index;
  if (to.id === from.id) {
    return from.phase === "S" || (from.phase === "F" ? previous : !route.moving);
  }
  if (to.generation !== from.generation) return false; // recorded for an index that a sweep replaces
  const gap = to.epoch - from.epoch;
  const migrations = to.migrations - from.migrations;
  switch (`${from.phase}${to.phase}`) {
    case "SF":
      return gap === 1 && previous;
    case "SD":
      return gap === 2 && migrations === 0 && previous && owner;
    case "FD":
      return gap === 1 && migrations === 0 && previous && owner;
    case "SS": // the end of settling; over one F that was taken back, or that raised fences alone
      if (gap === 1) return migrations === 0 && owner;
      return gap === 2 && migrations === 0 && to.runId === from.runId && previous && owner;
    case "FS": // taken back, or no ring changed
      return gap === 1 && migrations === 0 && previous && owner;
    case "DD": // a source was declared dead
      return gap === 1 && migrations === 0 && previous && owner;
    case "DS":
      return gap === 1 && migrations === 1 && previous && owner;
    default:
      return false;
  }
}
