/**
 * Planting (docs/protocol.md): a server whose fence item is missing, or lower than the document says, gets it (back).
 *
 *   1  add a nonce                 somebody else's nonce, or a low number: take it over, by CAS
 *   2  read the document           begins after 1, and only a confirmed document counts
 *   3  classic cas on that token, on that connection: number, a new incarnation, ` u`
 *
 * From an unconfirmed document nobody plants: the missing fence may be the last trace of a D that Redis forgot.
 */

import { isRingshiftError } from "../errors.ts";
import { classicAdd, classicCas, metaGet } from "../memcached/commands.ts";
import type { Command, Exchanged } from "../memcached/exchange.ts";
import { formatFence, formatNonce, parseFence } from "../memcached/fence.ts";
import { MARK_MANAGED } from "../memcached/marker.ts";
import { ExchangeError } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { Session } from "./session.ts";

/** Never expires: Memcached's exptime 0. */
const NEVER = 0;

/** Servers being planted by this process, so that a burst of refusals plants once. */
const planting = new WeakMap<Session, Map<string, Promise<void>>>();

/** Plants at most once at a time per server; a server that does not answer is left for the next try. */
export function plantQuietly(session: Session, node: NodeRecord): Promise<void> {
  const running = planting.get(session) ?? new Map<string, Promise<void>>();
  planting.set(session, running);
  const present = running.get(node.name);
  if (present !== undefined) return present;
  const mine = plant(session, node)
    .then(() => {})
    .catch((error: unknown) => {
      if (!(error instanceof ExchangeError) && !isRingshiftError(error)) throw error;
    })
    .finally(() => running.delete(node.name));
  running.set(node.name, mine);
  return mine;
}

/**
 * Brings the fence up to the number of the document that Redis has now. True when it stands there afterwards.
 * @throws ExchangeError, RingshiftError REDIS_UNREACHABLE
 */
export async function plant(session: Session, node: NodeRecord): Promise<boolean> {
  const { transport, namespace, clock } = session;
  const look = metaGet(namespace.fenceKey, "v c");
  let found = await transport.exchange(node, [look]);
  if (found.replies[0]?.status === "EN") {
    const nonce = Buffer.from(formatNonce(clock.randomId()), "latin1");
    const commands = [MARK_MANAGED, classicAdd(namespace.fenceKey, 0, NEVER, nonce), look];
    found = lastOf(await transport.exchange(node, commands));
  }
  const reply = found.replies[0];
  if (reply?.status !== "VA" || reply.cas === undefined) return false;
  const seen = await session.look();
  const number = seen.document.fences[node.name];
  if (!seen.confirmed || number === undefined || seen.document.epoch < session.view.document.epoch) return false;
  const standing = parseFence(reply.value!.toString("latin1"));
  if (standing.number !== undefined && standing.number >= number) return standing.number === number;
  const text = Buffer.from(formatFence(number, clock.randomId(), true), "latin1");
  const command: Command = classicCas(namespace.fenceKey, 0, NEVER, reply.cas, text);
  const planted = await transport.exchange(node, [command], found.connection);
  return planted.replies[0]?.status === "STORED";
}

function lastOf(exchanged: Exchanged): Exchanged {
  return { ...exchanged, replies: exchanged.replies.slice(-1) };
}
