/**
 * The keys of one cluster among all that a server holds, by metadump.
 *
 * A namespace's keys begin with its prefix. The default namespace has none, so there a key `shop:1` may be its own, or one of the cluster
 * `shop` on the same server: that cluster's fence item tells. One get for each first word of the keys, remembered for the dump.
 */
import { metaDelete, metaGet } from "../memcached/commands.ts";
import type { Command, ConnectionRef, Exchanged, FenceReading } from "../memcached/exchange.ts";
import { FENCE_KEY_PREFIX, MANAGED_KEY } from "../memcached/key.ts";
import { type Endpoint, ExchangeError, MAX_EXCHANGE_COMMANDS, type Transport } from "../memcached/transport.ts";
import type { Namespace } from "../topology/namespace.ts";

const NAMESPACED = /^([A-Za-z0-9._-]{1,64}):./s;
/** First words remembered; with more than these they are asked for again. */
const MAX_WORDS = 100_000;

interface Reach {
  readonly namespace: Namespace;
  readonly transport: Transport;
}

/**
 * Batches of at most `size` of the cluster's live keys. As with any metadump, what comes or goes meanwhile may be missed or come twice.
 * @param waitMs as Transport's `dump`
 * @throws RingshiftError when the server cannot be read to the end
 */
export async function* ourKeys(
  reach: Reach,
  node: Endpoint,
  size = MAX_EXCHANGE_COMMANDS,
  waitMs?: number,
): AsyncIterable<string[]> {
  const { keyPrefix } = reach.namespace;
  const foreign = new Map<string, boolean>();
  let batch: string[] = [];
  for await (const key of reach.transport.dump(node, waitMs)) {
    if (!key.startsWith(keyPrefix) || isReserved(key)) continue;
    batch.push(key);
    if (batch.length < size) continue;
    const own = await withoutForeign(reach, node, batch, foreign);
    if (own.length > 0) yield own;
    batch = [];
  }
  const own = await withoutForeign(reach, node, batch, foreign);
  if (own.length > 0) yield own;
}

/**
 * Deletes the cluster's keys from a server, which counts as eviction. By the CAS seen in a look that `may` has accepted the fence of: a value
 * that is written after that stays.
 * @param waitMs as Transport's `dump`
 * @throws RingshiftError when the server cannot be read to the end
 */
export async function deleteOurKeys(
  reach: Reach,
  node: Endpoint,
  may: (fence: FenceReading | undefined) => boolean = () => true,
  waitMs?: number,
): Promise<number> {
  let deleted = 0;
  for await (const keys of ourKeys(reach, node, undefined, waitMs)) {
    const looks = keys.map((key) => metaGet(key, "c"));
    const { replies, fence, connection } = await exchange(reach, node, looks);
    if (!may(fence)) return deleted;
    const deletes = keys.flatMap((key, i) => {
      const { cas } = replies[i]!;
      return cas === undefined ? [] : [metaDelete(key, { cas })];
    });
    if (deletes.length > 0) await exchange(reach, node, deletes, connection);
    deleted += deletes.length;
  }
  return deleted;
}

/** ringshift's own items. */
export function isReserved(key: string): boolean {
  return key === MANAGED_KEY || key.startsWith(FENCE_KEY_PREFIX);
}

async function withoutForeign(
  reach: Reach,
  node: Endpoint,
  keys: readonly string[],
  foreign: Map<string, boolean>,
): Promise<string[]> {
  if (reach.namespace.keyPrefix !== "") return [...keys];
  if (foreign.size > MAX_WORDS) foreign.clear();
  const words = new Set(keys.flatMap((key) => NAMESPACED.exec(key)?.[1] ?? []));
  const unknown = [...words].filter((word) => !foreign.has(word));
  for (let from = 0; from < unknown.length; from += MAX_EXCHANGE_COMMANDS) {
    const part = unknown.slice(from, from + MAX_EXCHANGE_COMMANDS);
    const { replies } = await exchange(
      reach,
      node,
      part.map((word) => metaGet(`${FENCE_KEY_PREFIX}${word}`)),
    );
    part.forEach((word, i) => void foreign.set(word, replies[i]!.status === "HD"));
  }
  return keys.filter((key) => foreign.get(NAMESPACED.exec(key)?.[1] ?? "") !== true);
}

async function exchange(
  { transport }: Reach,
  node: Endpoint,
  commands: readonly Command[],
  on?: ConnectionRef,
): Promise<Exchanged> {
  try {
    return await transport.exchange(node, commands, on);
  } catch (error) {
    throw error instanceof ExchangeError ? error.error : error;
  }
}
