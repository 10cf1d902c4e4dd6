/**
 * A storing command of rule M (docs/protocol.md): the key is in the index before it goes, or the server's fence is marked in the same flush, and the
 * value is known to fit.
 */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { classicAppend, classicCas, type MetaSetOptions, metaSet } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Reply } from "../memcached/exchange.ts";
import { UNINDEXED_SUFFIX } from "../memcached/fence.ts";
import { write } from "./attempt.ts";
import { Ambiguous, Retry } from "./outcome.ts";
import type { Session } from "./session.ts";
import type { Route } from "./view.ts";

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

/**
 * A storing command: the key is in the index before it goes, or the server's fence is marked in the same flush. That the key is listed counts while the
 * document is fresh when the flush is sent, also where the process was stopped since: under an old one the key may have left the server and come back,
 * and its entry is gone.
 */
export async function store(
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
  const known = session.recorder.knows(route.key, route.hash);
  if (known ? session.isFresh(route.view) : await isListed(session, route)) {
    return (await write(session, route, [command], on, true)).replies[0]!;
  }
  const fresh = how.mode === "E"; // under an old document it would be put over a placeholder (mutate.ts, `place`)
  return storeMarked(session, route, command, on, fresh);
}

/** Lists a key that is not known to be listed. False: Redis does not answer, the server is to be marked. @throws RingshiftError, Retry */
async function isListed(session: Session, route: Route): Promise<boolean> {
  const { view, key, hash, point } = route;
  if ((await session.recorder.record(session, view, key, hash, point)) === "recorded") return true;
  if (session.whenIndexDown === "reject") throw indexDown();
  if (route.moving) throw new Retry(); // D, and Redis is down: the copier could not learn of the key
  return false;
}

/**
 * Redis is down: the fence item gets a ` u` in the same flush, before the write. A mark that stands *after* the write covers it, whoever put
 * it (a reindex lists the keys after it has taken the mark away), so one that is known is not put again: the item would grow with every write.
 */
async function storeMarked(
  session: Session,
  route: Route,
  command: Command,
  on: ConnectionRef | undefined,
  fresh: boolean,
): Promise<Reply> {
  const { name } = route.node;
  const mark = session.marked.has(name) ? [] : [classicAppend(session.namespace.fenceKey, UNINDEXED_SUFFIX)];
  const exchanged = await write(session, route, [...mark, command], on, fresh);
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
