/**
 * Rule M, mutate (docs/protocol.md): every change of a value, for keys that are moving and keys that are not.
 *
 *   F, moving    held until D is published (hold.ts)
 *   D, moving    P first, then one native command at the new owner
 *   else         one native command
 *
 * A placeholder is *absent* to every command, but Memcached does not know that. Where one may stand (`route.careful`), replace, delete,
 * append and prepend look first and then go with the CAS they saw; add and incr find out by what they are answered.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import {
  classicAppend,
  type MetaSetOptions,
  metaArithmetic,
  metaDelete,
  metaGet,
  metaSet,
  metaTouch,
  PLACEHOLDER_FLAGS,
} from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { UNINDEXED_SUFFIX } from "../memcached/fence.ts";
import { Ambiguous, Retry } from "./outcome.ts";
import { pullOne } from "./pull-one.ts";
import { removePlaceholder } from "./read.ts";
import type { Session } from "./session.ts";
import { ask, requireAccepted, tell } from "./validate.ts";
import type { Route } from "./view.ts";

const MAX_ROUNDS = 200;

/** A value ready for the wire. */
export interface Item {
  readonly data: Buffer;
  readonly flags: number;
  /** Memcached's exptime: 0 never, else relative or absolute seconds. */
  readonly exptime: number;
}

/** Where the write goes: the route, pulled if it was dual. */
async function arrive(session: Session, route: Route): Promise<void> {
  if (route.kind === "dual") await pullOne(session, route);
}

/** Stores unconditionally. @throws Retry, Ambiguous, RingshiftError SERVER_ERROR */
export async function set(session: Session, route: Route, item: Item): Promise<true> {
  await arrive(session, route);
  const reply = await store(session, route, item, {});
  expect(route, reply, "HD");
  return true;
}

/** Stores where nothing is. */
export async function add(session: Session, route: Route, item: Item): Promise<boolean> {
  await arrive(session, route);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const reply = await store(session, route, item, { mode: "E" });
    if (expect(route, reply, "HD", "NS") === "HD") return true;
    const look = await lookAt(session, route);
    if (look === undefined) continue;
    if (look.reply.flags !== PLACEHOLDER_FLAGS) return false;
    const over = await store(session, route, item, { cas: look.reply.cas! }, look.exchanged.connection);
    if (expect(route, over, "HD", "EX", "NF") === "HD") return true;
  }
  throw new Retry();
}

/** Stores where something is. */
export async function replace(session: Session, route: Route, item: Item): Promise<boolean> {
  await arrive(session, route);
  await fits(session, route, item.data);
  if (route.careful) {
    return conditional(session, route, (cas) =>
      metaSet(route.key, item.data, { flags: item.flags, ttl: item.exptime, cas }),
    );
  }
  const exchanged = await write(session, route, [
    metaSet(route.key, item.data, { flags: item.flags, ttl: item.exptime, mode: "R" }),
  ]);
  return expect(route, exchanged.replies[0]!, "HD", "NS") === "HD";
}

/** Appends or prepends to a value that is there. The data's flags and TTL are those of the value. */
export async function extend(session: Session, route: Route, data: Buffer, mode: "A" | "P"): Promise<boolean> {
  await arrive(session, route);
  if (route.careful)
    return conditional(session, route, (cas) => metaSet(route.key, data, { flags: 0, ttl: 0, mode, cas }));
  const exchanged = await write(session, route, [metaSet(route.key, data, { flags: 0, ttl: 0, mode })]);
  return expect(route, exchanged.replies[0]!, "HD", "NS") === "HD";
}

/** True when there was something to delete. */
export async function remove(session: Session, route: Route): Promise<boolean> {
  await arrive(session, route);
  if (route.careful) return conditional(session, route, (cas) => metaDelete(route.key, { cas }));
  const exchanged = await write(session, route, [metaDelete(route.key)]);
  return expect(route, exchanged.replies[0]!, "HD", "NF") === "HD";
}

/** Adds to, or subtracts from, a decimal value; undefined on a miss. @throws RingshiftError NOT_NUMERIC */
export async function arithmetic(
  session: Session,
  route: Route,
  delta: bigint,
  decrement: boolean,
): Promise<string | undefined> {
  await arrive(session, route);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const exchanged = await write(session, route, [metaArithmetic(route.key, { delta, decrement })]);
    const reply = exchanged.replies[0]!;
    const status = expect(route, reply, "VA", "HD", "NF", "CLIENT_ERROR");
    if (status === "NF") return undefined;
    if (status !== "CLIENT_ERROR") return reply.value?.toString("latin1").trim() ?? "";
    // a placeholder, or a value that is not a number
    const look = await lookAt(session, route);
    if (look === undefined) return undefined;
    if (look.reply.flags !== PLACEHOLDER_FLAGS) {
      if (round > 0)
        throw new RingshiftError("NOT_NUMERIC", "The value is not a decimal number.", { node: route.node.name });
      continue;
    }
    if ((await removePlaceholder(session, route, look.reply, look.exchanged)) === "HD") return undefined;
  }
  throw new Retry();
}

/** What a CAS token has to match at the time its command is sent. */
export interface CasBinding {
  readonly cas: string;
  readonly incarnation: string;
  /** The connection that gave the token, when this process got it. */
  readonly connection: ConnectionRef | undefined;
}

/** Stores when the item is still the one the token came from. The caller has checked that the token's node is `route.node`. */
export async function compareAndSet(session: Session, route: Route, item: Item, token: CasBinding): Promise<boolean> {
  await arrive(session, route);
  await fits(session, route, item.data);
  // CAS numbers start anew with the server process: only a connection that has shown the token's incarnation may carry it
  let connection = token.connection;
  let exchanged = connection && (await tellOn(session, route, item, token, connection));
  if (exchanged === undefined) {
    connection = (await ask(session, route.node, [metaGet(route.key, "c")])).connection;
    if (token.incarnation === "" || connection.incarnation !== token.incarnation) return false;
    exchanged = await tellOn(session, route, item, token, connection);
  }
  if (exchanged === undefined) throw new Retry();
  await requireAccepted(session, route, exchanged, true);
  return expect(route, exchanged.replies[0]!, "HD", "EX", "NF") === "HD";
}

/** Undefined: that connection is gone, nothing was sent. */
async function tellOn(
  session: Session,
  route: Route,
  item: Item,
  token: CasBinding,
  on: ConnectionRef,
): Promise<Exchanged | undefined> {
  const command = metaSet(route.key, item.data, { flags: item.flags, ttl: item.exptime, cas: token.cas });
  try {
    return await tell(session, route.node, [command], on);
  } catch (error) {
    if (error instanceof Retry) return undefined;
    throw error;
  }
}

/** Sets TTL without changing the value; false on a miss. */
export async function touch(session: Session, route: Route, exptime: number): Promise<boolean> {
  await arrive(session, route);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const exchanged = await ask(session, route.node, [metaTouch(route.key, exptime, "f c")]);
    await requireAccepted(session, route, exchanged, false);
    const reply = exchanged.replies[0]!;
    if (expect(route, reply, "HD", "EN") === "EN") return false;
    if (reply.flags !== PLACEHOLDER_FLAGS) return true;
    if ((await removePlaceholder(session, route, reply, exchanged)) !== "EX") return false;
  }
  throw new Retry();
}

/** Look, then the same command with the CAS seen, until one of the two decides. */
async function conditional(session: Session, route: Route, command: (cas: string) => Command): Promise<boolean> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const look = await lookAt(session, route);
    if (look === undefined) return false;
    if (look.reply.flags === PLACEHOLDER_FLAGS) {
      if ((await removePlaceholder(session, route, look.reply, look.exchanged)) === "EX") continue;
      return false;
    }
    const exchanged = await write(session, route, [command(look.reply.cas!)], look.exchanged.connection);
    if (expect(route, exchanged.replies[0]!, "HD", "EX", "NF", "NS") === "HD") return true;
  }
  throw new Retry();
}

/** `mg key f c`; undefined when nothing is there. */
async function lookAt(session: Session, route: Route): Promise<{ reply: Reply; exchanged: Exchanged } | undefined> {
  const exchanged = await ask(session, route.node, [metaGet(route.key, "f c")]);
  await requireAccepted(session, route, exchanged, false);
  const reply = exchanged.replies[0]!;
  return reply.status === "EN" ? undefined : { reply, exchanged };
}

/** A storing command: the key is in the index before it goes, or the server's fence is marked in the same flush. */
async function store(
  session: Session,
  route: Route,
  item: Item,
  how: Pick<MetaSetOptions, "mode" | "cas">,
  on?: ConnectionRef,
): Promise<Reply> {
  await fits(session, route, item.data);
  const command = metaSet(route.key, item.data, { flags: item.flags, ttl: item.exptime, ...how });
  if (route.view.unfenced) return (await write(session, route, [command], on)).replies[0]!;
  const recorded = session.recorder.knows(route.key, route.hash)
    ? "recorded"
    : await session.recorder.record(session, route.view, route.key, route.hash, route.point);
  if (recorded === "recorded") return (await write(session, route, [command], on)).replies[0]!;
  if (route.moving) throw new Retry(); // D, and Redis is down: the copier could not learn of the key
  const exchanged = await write(
    session,
    route,
    [classicAppend(session.namespace.fenceKey, UNINDEXED_SUFFIX), command],
    on,
  );
  if (!exchanged.fence?.unindexed) throw new Ambiguous();
  return exchanged.replies[1]!;
}

/** A failing `ms` deletes what was there, so the size is checked first. @throws RingshiftError VALUE_TOO_LARGE; Retry */
async function fits(session: Session, route: Route, data: Buffer): Promise<void> {
  try {
    await session.limits?.check(route.node, route.key.length, data.length);
  } catch (error) {
    throw isRingshiftError(error, "VALUE_TOO_LARGE") ? error : new Retry(error);
  }
}

async function write(
  session: Session,
  route: Route,
  commands: readonly Command[],
  on?: ConnectionRef,
): Promise<Exchanged> {
  const exchanged = await tell(session, route.node, commands, on);
  await requireAccepted(session, route, exchanged, true);
  return exchanged;
}

/** True when a store needs nothing first: the key is recorded, or need not be, and the value is small enough to fit anywhere. */
export function canStoreAtOnce(session: Session, route: Route, item: Item): boolean {
  if (!route.view.unfenced && !session.recorder.knows(route.key, route.hash)) return false;
  return session.limits?.fits(route.node, route.key.length, item.data.length) ?? true;
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
