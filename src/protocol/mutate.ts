/**
 * Rule M, mutate (docs/protocol.md): every change of a value, for keys that are moving and keys that are not.
 *
 *   F, moving    held until D is published (hold.ts)
 *   D, moving    P first, then one native command at the new owner
 *   else         one native command
 *
 * A placeholder is *absent* to every command, but Memcached does not know that. A lease (lease.ts) may stand anywhere, the placeholder of a
 * pull where `route.careful`. So replace, append and prepend look first and then go with the CAS they saw; add and incr find out by what
 * they are answered; delete looks first where a pull may be under way, else ends what is there by an expiry, which tells what it was.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import {
  classicAdd,
  classicAppend,
  classicCas,
  isStored,
  MAX_RELATIVE_TTL_S,
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
import { isHere, type Lease } from "./lease.ts";
import { Ambiguous, Retry } from "./outcome.ts";
import { pullOne } from "./pull-one.ts";
import { removePlaceholder } from "./read.ts";
import { PLACEHOLDER_TTL_S } from "./reserve.ts";
import type { Session } from "./session.ts";
import { ask, requireAccepted, requireFence, tell } from "./validate.ts";
import type { Route } from "./view.ts";

const MAX_ROUNDS = 200;
const EMPTY = Buffer.alloc(0);
/** An exptime that is over, in both protocols: the earliest that is taken for an absolute time. The binary one has no negative times. */
const EXPIRED = MAX_RELATIVE_TTL_S + 1;

/** A value ready for the wire. */
export interface Item {
  readonly data: Buffer;
  /** The same as text, where it is ASCII; `data` is then made when it is asked for. */
  readonly text?: string | undefined;
  readonly flags: number;
  /** Memcached's exptime: 0 never, else relative or absolute seconds. */
  readonly exptime: number;
}

/** What is sent of it: the text where there is one, since its bytes would have to be made. */
export function blockOf(item: Item): string | Buffer {
  return item.text ?? item.data;
}

/** Where the write goes: the route, pulled if it was dual. */
export async function arrive(session: Session, route: Route): Promise<void> {
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

/** Appends or prepends to a value that is there. The data's flags and TTL are those of the value. */
export async function extend(session: Session, route: Route, data: Buffer, mode: "A" | "P"): Promise<boolean> {
  await arrive(session, route);
  // a piece that is too large by itself would take the old value with it; a sum that is too large leaves it (NS)
  await fits(session, route, data.length);
  const size = (look: Reply) => fits(session, route, (look.size ?? 0) + data.length);
  return conditional(session, route, (cas) => metaSet(route.key, data, { flags: 0, ttl: 0, mode, cas }), size);
}

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
 * the old owner is looked at afterwards, what is there goes, and with it the place of whoever may have read it.
 */
async function removeMoving(session: Session, route: Route): Promise<boolean> {
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
async function clearSource(session: Session, { view, source, key }: Route): Promise<boolean> {
  const looked = await ask(session, view, source!, [metaGet(key, "c")]);
  await requireFence(session, view, source!, looked);
  const { cas } = looked.replies[0]!;
  if (cas === undefined) return true;
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
    const exchanged = await ask(session, route.view, route.node, [metaTouch(route.key, exptime, flags)]);
    await requireAccepted(session, route, exchanged, false);
    const reply = exchanged.replies[0]!;
    if (expect(route, reply, "HD", "VA", "EN") === "EN") return undefined;
    if (reply.flags !== PLACEHOLDER_FLAGS) return reply;
    if ((await removePlaceholder(session, route, reply, exchanged)) !== "EX") return undefined;
  }
  throw new Retry();
}

/** Look, then the same command with the CAS seen, until one of the two decides. */
async function conditional(
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

interface Look {
  readonly reply: Reply;
  readonly exchanged: Exchanged;
}

/** `mg key f c s`; undefined when nothing is there. */
async function lookAt(session: Session, route: Route): Promise<Look | undefined> {
  const exchanged = await ask(session, route.view, route.node, [metaGet(route.key, "f c s")]);
  await requireAccepted(session, route, exchanged, false);
  return lookIn(exchanged, 0);
}

function lookIn(exchanged: Exchanged, at: number): Look | undefined {
  const reply = exchanged.replies[at]!;
  return reply.status === "EN" ? undefined : { reply, exchanged };
}

/** A storing command: the key is in the index before it goes, or the server's fence is marked in the same flush. */
async function store(
  session: Session,
  route: Route,
  item: Item,
  how: Pick<MetaSetOptions, "mode" | "cas"> & { readonly classic?: boolean },
  on?: ConnectionRef,
): Promise<Reply> {
  await fits(session, route, blockOf(item).length);
  const command = how.classic
    ? classicCas(route.key, item.flags, item.exptime, how.cas!, item.data)
    : metaSet(route.key, blockOf(item), { flags: item.flags, ttl: item.exptime, ...how });
  if (route.view.unfenced) return (await write(session, route, [command], on)).replies[0]!;
  const recorded = session.recorder.knows(route.key, route.hash)
    ? "recorded"
    : await session.recorder.record(session, route.view, route.key, route.hash, route.point);
  if (recorded === "recorded") return (await write(session, route, [command], on)).replies[0]!;
  if (session.whenIndexDown === "reject") throw indexDown();
  if (route.moving) throw new Retry(); // D, and Redis is down: the copier could not learn of the key
  return storeMarked(session, route, command, on);
}

/**
 * Redis is down: the fence item gets a ` u` in the same flush, before the write. A mark that stands *after* the write covers it, whoever put
 * it (a reindex lists the keys after it has taken the mark away), so one that is known is not put again: the item would grow with every write.
 */
async function storeMarked(session: Session, route: Route, command: Command, on?: ConnectionRef): Promise<Reply> {
  const { name } = route.node;
  const mark = session.marked.has(name) ? [] : [classicAppend(session.namespace.fenceKey, UNINDEXED_SUFFIX)];
  const exchanged = await write(session, route, [...mark, command], on);
  if (exchanged.fence?.unindexed) {
    session.marked.add(name);
    return exchanged.replies[mark.length]!;
  }
  session.marked.delete(name);
  throw new Ambiguous();
}

function indexDown(): RingshiftError {
  return new RingshiftError(
    "REDIS_UNREACHABLE",
    'Redis does not answer, so the key cannot be indexed, and the client was told to refuse such writes (whenIndexDown: "reject"). Nothing was written.',
  );
}

/** A failing `ms` deletes what was there, so the size is checked first. @throws RingshiftError VALUE_TOO_LARGE; Retry */
export async function fits(session: Session, route: Route, bytes: number): Promise<void> {
  try {
    await session.limits?.check(route.node, route.key.length, bytes);
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
  const exchanged = await tell(session, route.view, route.node, commands, on);
  await requireAccepted(session, route, exchanged, true);
  return exchanged;
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
