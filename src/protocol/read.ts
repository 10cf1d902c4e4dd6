/**
 * Rule R, read (docs/protocol.md), and reads of keys that are not moving.
 *
 * In D, of a moving key: read B; a value is the answer. A pull's placeholder is waited for here, not in `pull`: the look that finds the value
 * brings it. Else read A. A has it: pull it (P), then read B again, and only what B holds is answered. A has not: read B a *third* time, since
 * the key may have crossed between the two.
 */
import { metaDelete, metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Exchanged, Reply } from "../memcached/exchange.ts";
import type { Waiting } from "./crossing.ts";
import { standsAsMiss } from "./lease.ts";
import { Retry } from "./outcome.ts";
import { pullForRead } from "./pull-one.ts";
import { sawForeign, waitForOthers } from "./reserve.ts";
import type { Session } from "./session.ts";
import { ask, requireAccepted, requireFence, requireOwner } from "./validate.ts";
import type { Route } from "./view.ts";

const MAX_ROUNDS = 200;

/** A value as a server holds it, and what a CAS token needs. */
export interface Found {
  readonly reply: Reply;
  readonly exchanged: Exchanged;
}

/**
 * The key's item by `mg` with the flags given (`f` and `c` among them); undefined on a miss. Without `v` a lease is not told from the
 * placeholder of a pull, and is removed like one.
 * @param onLease called when the miss is somebody's lease
 * @param seen what the owner has answered to this attempt's first look, accepted by rule V
 * @throws Retry
 */
export async function read(
  session: Session,
  route: Route,
  flags: string,
  onLease?: () => void,
  seen?: Exchanged,
): Promise<Found | undefined> {
  if (route.moving) session.counters.readsOfMovingKeys++;
  if (route.kind === "plain") return readOwner(session, route, flags, onLease);
  return readDual(session, route, flags, onLease, seen?.replies[0]?.status === "EN" ? seen : undefined);
}

/** A read where one server answers for the key. A placeholder is a miss, and is deleted by its CAS first. */
export async function readOwner(
  session: Session,
  route: Route,
  flags: string,
  onLease?: () => void,
): Promise<Found | undefined> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const exchanged = await ask(session, route.view, route.node, [metaGet(route.key, flags)]);
    await requireAccepted(session, route, exchanged, false);
    const reply = exchanged.replies[0]!;
    if (reply.flags !== PLACEHOLDER_FLAGS) return hit(reply, exchanged);
    if (standsAsMiss(route, reply)) {
      onLease?.();
      return undefined;
    }
    if ((await removePlaceholder(session, route, reply, exchanged)) !== "EX") return undefined;
  }
  throw new Retry();
}

async function readDual(
  session: Session,
  route: Route,
  flags: string,
  onLease: (() => void) | undefined,
  missed: Exchanged | undefined,
): Promise<Found | undefined> {
  const { view, node, key } = route;
  const { clock } = session;
  const waiting: Waiting = { foreign: undefined, changes: 0 };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const beganAt = clock.now();
    const known = round === 0 ? missed : undefined;
    const first = known ?? (await ask(session, view, node, [metaGet(key, flags)]));
    if (known === undefined) await requireOwner(session, route, first);
    const seen = first.replies[0]!;
    if (isValue(seen)) return hit(seen, first);

    if (isPull(seen)) sawForeign(session, waiting, seen, first.connection);
    else if (await isAtSource(session, route)) {
      if (seen.cas === undefined) waiting.foreign = undefined;
    } else {
      const found = await readThird(session, route, flags, onLease);
      if (found !== "changed") return found;
      continue;
    }
    const othersTurn = isPull(seen) && clock.now() < waiting.foreign!.takeOverAt;
    if (!othersTurn) await pullForRead(session, route, waiting);
    if (waiting.foreign !== undefined) {
      await waitForOthers(session, [waiting.foreign], round, clock.now() - beganAt);
    }
  }
  throw new Retry();
}

/** At B, after A was seen without the key. `changed`: a placeholder that stood there is one no more. */
async function readThird(
  session: Session,
  route: Route,
  flags: string,
  onLease?: () => void,
): Promise<Found | undefined | "changed"> {
  const third = await ask(session, route.view, route.node, [metaGet(route.key, flags)]);
  await requireOwner(session, route, third);
  const reply = third.replies[0]!;
  if (reply.flags !== PLACEHOLDER_FLAGS) return hit(reply, third);
  if (standsAsMiss(route, reply)) {
    onLease?.();
    return undefined;
  }
  return (await removePlaceholder(session, route, reply, third)) === "HD" ? undefined : "changed";
}

async function isAtSource(session: Session, { view, source, key }: Route): Promise<boolean> {
  const old = await ask(session, view, source!, [metaGet(key, "f c")]);
  await requireFence(session, view, source!, old);
  return isValue(old.replies[0]!);
}

/**
 * Whoever answers "missing" because of a placeholder deletes it first, by its CAS and on the connection that gave it.
 * `EX`: something else is there by now. `NF`: nothing is. `HD`: done.
 */
export async function removePlaceholder(
  session: Session,
  route: Route,
  placeholder: Reply,
  seenIn: Exchanged,
): Promise<string> {
  const command = metaDelete(route.key, { cas: placeholder.cas! });
  const exchanged = await ask(session, route.view, route.node, [command], seenIn.connection);
  await requireAccepted(session, route, exchanged, false);
  return exchanged.replies[0]!.status;
}

/** The placeholder of a pull, where the value was asked for: a lease has a text. */
function isPull(reply: Reply): boolean {
  return reply.flags === PLACEHOLDER_FLAGS && reply.value?.length === 0;
}

function isValue(reply: Reply): boolean {
  return (reply.status === "VA" || reply.status === "HD") && reply.flags !== PLACEHOLDER_FLAGS;
}

function hit(reply: Reply, exchanged: Exchanged): Found | undefined {
  return reply.status === "VA" || reply.status === "HD" ? { reply, exchanged } : undefined;
}
