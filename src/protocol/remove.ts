/**
 * Rule M for deletes (docs/protocol.md). Where a pull may be under way the key is looked at first, and deleted with the CAS seen; else what is there is
 * ended by an expiry, which tells what it was.
 */
import { MAX_RELATIVE_TTL_S, metaDelete, metaGet, metaTouch, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Command, Reply } from "../memcached/exchange.ts";
import { arrive, conditional, expect, goesOut, lookAt, write } from "./attempt.ts";
import { Ambiguous, Retry } from "./outcome.ts";
import { removePlaceholder } from "./read.ts";
import type { Session } from "./session.ts";
import { ask, requireFence } from "./validate.ts";
import type { Route } from "./view.ts";

/** An exptime that is over, in both protocols: the earliest that is taken for an absolute time. The binary one has no negative times. */
const EXPIRED = MAX_RELATIVE_TTL_S + 1;

/** True when there was something to delete. */
export async function remove(session: Session, route: Route): Promise<boolean> {
  await arrive(session, route);
  if (route.moving) return removeMoving(session, route);
  if (route.careful) return conditional(session, route, (cas) => metaDelete(route.key, { cas }));
  const exchanged = await write(session, route, removal(route.key));
  return removed(route, exchanged.replies);
}

/**
 * Delete in D. A write of an earlier epoch may still reach the old owner, unacknowledged, and whoever meets it there brings it to the new one
 * (R, K). A delete between that and its end at the old owner (P, step 5) would not be the last of it: the next pull would bring it again. So
 * the old owner is looked at afterwards, what is there goes, and with it the place of whoever may have read it. And it is looked at before:
 * where it does not answer nothing has been deleted yet.
 */
async function removeMoving(session: Session, route: Route): Promise<boolean> {
  await clearSource(session, route);
  const found = await conditional(session, route, (cas) => metaDelete(route.key, { cas }));
  try {
    if (await clearSource(session, route)) return found;
    const left = await lookAt(session, route);
    if (left === undefined || !found) return found;
    const isPull = left.reply.flags === PLACEHOLDER_FLAGS;
    if (isPull && (await removePlaceholder(session, route, left.reply, left.exchanged)) === "HD") return found;
  } catch (error) {
    throw found && error instanceof Retry ? new Ambiguous(error.cause) : error;
  }
  throw new Ambiguous(); // another value, or what was deleted
}

/** True when the old owner was without the key; else what was there is gone now. @throws Retry */
async function clearSource(session: Session, route: Route): Promise<boolean> {
  const { view, source, key } = route;
  const looked = await ask(session, view, source!, [metaGet(key, "c")]);
  await requireFence(session, view, source!, looked);
  const { cas } = looked.replies[0]!;
  if (cas === undefined) return true;
  goesOut(route);
  const killed = await ask(session, view, source!, [metaDelete(key, { cas })], looked.connection);
  await requireFence(session, view, source!, killed);
  return false;
}

/**
 * Delete where no pull can be under way. A get with an expiry in the past tells what it ends, in one step: a value or a lease, which is none. With
 * a look and an `md` behind it another client's write may come between the two, be deleted, and not be told of. The second get makes the
 * server give the memory back; a value that came meanwhile is not touched by it.
 */
export function removal(key: string): Command[] {
  return [metaTouch(key, EXPIRED, "f"), metaGet(key)];
}

/** Of the replies to `removal`: there was a value to delete. */
export function removed(route: Route, [ended]: readonly Reply[]): boolean {
  return expect(route, ended!, "HD", "EN") === "HD" && ended!.flags !== PLACEHOLDER_FLAGS;
}
