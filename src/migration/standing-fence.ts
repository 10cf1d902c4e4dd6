import { metaGet } from "../memcached/commands.ts";
import type { FenceReading } from "../memcached/exchange.ts";
import { parseFence } from "../memcached/fence.ts";
import { ExchangeError, type Transport } from "../memcached/transport.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { Namespace } from "../topology/namespace.ts";

/** The fence that stands on a server; undefined when there is none. @throws RingshiftError where the server does not answer */
export async function standingFence(
  transport: Transport,
  namespace: Namespace,
  node: NodeRecord,
): Promise<FenceReading | undefined> {
  try {
    const { replies } = await transport.exchange(node, [metaGet(namespace.fenceKey, "v")]);
    const text = replies[0]?.value?.toString("latin1");
    return text === undefined ? undefined : parseFence(text);
  } catch (error) {
    throw error instanceof ExchangeError ? error.error : error;
  }
}
