/** Rule P as a client does it: one key, and one pull per key and process. */
import type { Waiting } from "./crossing.ts";
import { pull, pullAtOnce } from "./pull.ts";
import type { Session } from "./session.ts";
import type { Route } from "./view.ts";

/** Afterwards nothing of the key is left at its old owner. @throws Retry */
export async function pullOne(session: Session, route: Route): Promise<void> {
  const present = session.pulls.get(route.key);
  if (present !== undefined) return present;
  const mine = pullOnce(session, route).finally(() => session.pulls.delete(route.key));
  session.pulls.set(route.key, mine);
  return mine;
}

/**
 * For rule R alone, which does not wait here for somebody else's pull. Afterwards the key is at its new owner, or nowhere, unless somebody is
 * in the way (`waiting`); the old owner may still have what was pulled from it. @throws Retry
 */
export async function pullForRead(session: Session, route: Route, waiting: Waiting): Promise<void> {
  const present = session.pulls.get(route.key);
  if (present !== undefined) {
    waiting.foreign = undefined;
    return present;
  }
  const { view, node, source } = route;
  const result = await pullAtOnce({ session, view, source: source!, target: node }, route, waiting);
  if (result !== undefined && result !== "present") view.rememberMoved(route.key);
}

async function pullOnce(session: Session, route: Route): Promise<void> {
  await pull(session, route.view, route.source!, route.node, [route], { unstorable: "drop" });
  route.view.rememberMoved(route.key);
}
