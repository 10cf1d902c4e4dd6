/**
 * What every command of a caller is made of: it goes to the owner, its replies count by the fence (rule V), and where it has to know what is there
 * it looks first and then acts on exactly that, by CAS.
 */
import { RingshiftError } from "../errors.ts";
import { metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { Retry } from "./outcome.ts";
import { pullOne } from "./pull-one.ts";
import { removePlaceholder } from "./read.ts";
import type { Session } from "./session.ts";
import { ask, requireAccepted, tell } from "./validate.ts";
import type { Route } from "./view.ts";

/** Of look and act, before the attempt begins anew. */
export const MAX_ROUNDS = 200;

/** Where the write goes: the route, pulled if it was dual. */
export async function arrive(session: Session, route: Route): Promise<void> {
  if (route.kind === "dual") await pullOne(session, route);
}

/**
 * The caller's write goes out now: from here on its time being up leaves its effect unknown. What an attempt waits for before (a pull, Redis) writes
 * nothing of the caller's. @throws Retry where the caller was told meanwhile that nothing is written
 */
export function goesOut({ caller, node }: Route): void {
  if (caller === undefined) return;
  if (caller.abandoned) throw new Retry();
  caller.begun = true;
  caller.node = node.name;
}

/** Sends a write. @param fresh as `tell` has it. @throws Retry, Ambiguous */
export async function write(
  session: Session,
  route: Route,
  commands: readonly Command[],
  on?: ConnectionRef,
  fresh?: boolean,
): Promise<Exchanged> {
  goesOut(route);
  const exchanged = await tell(session, route.view, route.node, commands, on, fresh);
  await requireAccepted(session, route, exchanged, true);
  return exchanged;
}

/** Look, then the same command with the CAS seen, until one of the two decides. */
export async function conditional(
  session: Session,
  route: Route,
  command: (cas: string) => Command,
  check?: (look: Reply) => Promise<void>,
): Promise<boolean> {
  let refused: string | undefined; // CAS of an item that an append was refused on
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const look = await lookAt(session, route);
    if (look === undefined) return false;
    if (look.reply.flags === PLACEHOLDER_FLAGS) {
      if ((await removePlaceholder(session, route, look.reply, look.exchanged)) === "EX") continue;
      return false;
    }
    await check?.(look.reply);
    const exchanged = await write(session, route, [command(look.reply.cas!)], look.exchanged.connection);
    const status = expect(route, exchanged.replies[0]!, "HD", "EX", "NF", "NS");
    if (status === "HD") return true;
    if (status !== "NS") continue;
    // an append to a key that is gone by now, or a sum that there is no room for: then the same item is there still
    if (look.reply.cas === refused) throw noRoom(route);
    refused = look.reply.cas;
  }
  throw new Retry();
}

export interface Look {
  readonly reply: Reply;
  readonly exchanged: Exchanged;
}

/** `mg key f c s`; undefined when nothing is there. */
export async function lookAt(session: Session, route: Route): Promise<Look | undefined> {
  const exchanged = await ask(session, route.view, route.node, [metaGet(route.key, "f c s")]);
  await requireAccepted(session, route, exchanged, false);
  return lookIn(exchanged, 0);
}

/** The reply to a look among others. */
export function lookIn(exchanged: Exchanged, at: number): Look | undefined {
  const reply = exchanged.replies[at]!;
  return reply.status === "EN" ? undefined : { reply, exchanged };
}

function noRoom(route: Route): RingshiftError {
  const { name } = route.node;
  return new RingshiftError("VALUE_TOO_LARGE", `${name} has no room for the longer value; the old one is untouched.`, {
    node: name,
  });
}

/** The reply's status, when it is one that the command may have. @throws RingshiftError SERVER_ERROR, PROTOCOL_ERROR */
export function expect(route: Route, reply: Reply, ...statuses: readonly string[]): string {
  if (statuses.includes(reply.status)) return reply.status;
  const text = `${reply.status} ${reply.message}`.trim();
  if (reply.status === "SERVER_ERROR") {
    const tooLarge = reply.message.includes("too large");
    throw new RingshiftError(tooLarge ? "VALUE_TOO_LARGE" : "SERVER_ERROR", `${route.node.name} answered ${text}`, {
      node: route.node.name,
    });
  }
  throw new RingshiftError("PROTOCOL_ERROR", `${route.node.name} answered ${text}`, { node: route.node.name });
}
