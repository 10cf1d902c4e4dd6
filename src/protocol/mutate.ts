/**
 * Rule M, mutate (docs/protocol.md): every change of a value, for keys that are moving and keys that are not.
 *
 *   F, moving    held until D is published (hold.ts)
 *   D, moving    P first, then one native command at the new owner
 *   else         one native command
 *
 * A placeholder is *absent* to every command, but Memcached does not know that. A lease (lease.ts) may stand anywhere, the placeholder of a
 * pull where `route.careful`. So replace, append and prepend look first and then go with the CAS they saw; add and incr find out by what
 * they are answered. Deletes are in remove.ts.
 */
import { RingshiftError } from "../errors.ts";
import {
  classicAdd,
  isStored,
  metaArithmetic,
  metaGet,
  metaSet,
  metaTouch,
  PLACEHOLDER_FLAGS,
} from "../memcached/commands.ts";
import type { ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import { arrive, conditional, expect, goesOut, type Look, lookAt, lookIn, MAX_ROUNDS, write } from "./attempt.ts";
import { isHere, type Lease } from "./lease.ts";
import { Retry } from "./outcome.ts";
import { removePlaceholder } from "./read.ts";
import { PLACEHOLDER_TTL_S } from "./reserve.ts";
import type { Session } from "./session.ts";
import { blockOf, fits, type Item, store } from "./store.ts";
import { ask, requireAccepted, tell } from "./validate.ts";
import type { Route } from "./view.ts";

const EMPTY = Buffer.alloc(0);

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
    let look: Look | undefined;
    if (session.isFresh(route.view)) {
      const reply = await store(session, route, item, { mode: "E" });
      if (expect(route, reply, "HD", "NS") === "HD") return true;
      look = await lookAt(session, route);
    } else look = await place(session, route);
    if (look === undefined) continue;
    if (look.reply.flags !== PLACEHOLDER_FLAGS) return false;
    const over = await store(session, route, item, { cas: look.reply.cas! }, look.exchanged.connection);
    if (expect(route, over, "HD", "EX", "NF") === "HD") return true;
  }
  throw new Retry();
}

/**
 * Rule T for what takes effect where nothing is. While Redis does not answer, a document of any age is sent under. A server that has left and come
 * back since was emptied: an `add` finds nothing there, though its key has a value at its owner, and what it leaves would pass for the newer
 * one when the key moves there. So a placeholder is put in its place, which passes for nothing, and the value goes over that by CAS once the
 * fence has been seen: however late it arrives, it finds its placeholder or does nothing.
 */
async function place(session: Session, route: Route): Promise<Look | undefined> {
  const put = classicAdd(route.key, PLACEHOLDER_FLAGS, PLACEHOLDER_TTL_S, EMPTY);
  const exchanged = await ask(session, route.view, route.node, [put, metaGet(route.key, "f c s")]);
  await requireAccepted(session, route, exchanged, false);
  expect(route, exchanged.replies[0]!, "STORED", "NOT_STORED", "HD", "NS");
  return lookIn(exchanged, 1);
}

/** Stores where something is. */
export async function replace(session: Session, route: Route, item: Item): Promise<boolean> {
  await arrive(session, route);
  await fits(session, route, blockOf(item).length);
  return conditional(session, route, (cas) =>
    metaSet(route.key, blockOf(item), { flags: item.flags, ttl: item.exptime, cas }),
  );
}

/**
 * Appends or prepends to a value that is there. The data's flags and TTL are those of the value.
 * @param check told of the value's flags and size before anything is sent; what it throws ends the call
 */
export async function extend(
  session: Session,
  route: Route,
  data: Buffer,
  mode: "A" | "P",
  check?: (look: Reply) => void,
): Promise<boolean> {
  await arrive(session, route);
  // a piece that is too large by itself would take the old value with it; a sum that is too large leaves it (NS)
  await fits(session, route, data.length);
  const checkAll = async (look: Reply) => {
    check?.(look);
    await fits(session, route, (look.size ?? 0) + data.length);
  };
  return conditional(session, route, (cas) => metaSet(route.key, data, { flags: 0, ttl: 0, mode, cas }), checkAll);
}

/** Adds to, or subtracts from, a decimal value; undefined on a miss. @throws RingshiftError NOT_NUMERIC */
export async function arithmetic(
  session: Session,
  route: Route,
  delta: bigint,
  decrement: boolean,
): Promise<string | undefined> {
  await arrive(session, route);
  let refused: string | undefined; // CAS of a value that was there after a refusal: refused again, it is not a number
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
      if (look.reply.cas === refused)
        throw new RingshiftError("NOT_NUMERIC", "The value is not a decimal number.", { node: route.node.name });
      refused = look.reply.cas;
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
  await fits(session, route, blockOf(item).length);
  // CAS numbers start anew with the server process: only a connection that has shown the token's incarnation may carry it
  let connection = token.connection;
  let exchanged = connection && (await tellOn(session, route, item, token, connection));
  if (exchanged === undefined) {
    connection = (await ask(session, route.view, route.node, [metaGet(route.key, "c")])).connection;
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
  const command = metaSet(route.key, blockOf(item), { flags: item.flags, ttl: item.exptime, cas: token.cas });
  goesOut(route);
  try {
    return await tell(session, route.view, route.node, [command], on);
  } catch (error) {
    if (error instanceof Retry) return undefined;
    throw error;
  }
}

/** Stores the value that a lease was taken for; false when the lease is lost: something else has happened to the key. */
export async function fillLease(session: Session, route: Route, item: Item, lease: Lease): Promise<boolean> {
  if (!isHere(route, lease)) return false;
  const reply = await store(session, route, item, { cas: lease.cas, classic: true }, lease.connection);
  expect(route, reply, "STORED", "EXISTS", "NOT_FOUND", "HD", "EX", "NF");
  return isStored(reply);
}

/** Sets TTL without changing the value; false on a miss. */
export async function touch(session: Session, route: Route, exptime: number): Promise<boolean> {
  return (await getAndTouch(session, route, exptime, "f c")) !== undefined;
}

/** Sets TTL and answers what `flags` ask for (`f` and `c` among them); undefined on a miss. */
export async function getAndTouch(
  session: Session,
  route: Route,
  exptime: number,
  flags: string,
): Promise<Reply | undefined> {
  await arrive(session, route);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    goesOut(route);
    const exchanged = await ask(session, route.view, route.node, [metaTouch(route.key, exptime, flags)]);
    await requireAccepted(session, route, exchanged, false);
    const reply = exchanged.replies[0]!;
    if (expect(route, reply, "HD", "VA", "EN") === "EN") return undefined;
    if (reply.flags !== PLACEHOLDER_FLAGS) return reply;
    if ((await removePlaceholder(session, route, reply, exchanged)) !== "EX") return undefined;
  }
  throw new Retry();
}
