import { RingshiftError } from "../errors.ts";
import { newRecord } from "../migration/change.ts";
import { initialiseIfNeeded } from "../migration/initialise.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { Client } from "./client.ts";
import { type ClientOptions, checkOptions, newNodes } from "./options.ts";
import { openManaged, openPlain } from "./session.ts";

/**
 * Opens a client. With `redis` it belongs to a managed cluster: `servers` starts one if Redis knows none. Without: a plain ketama client.
 * @throws RingshiftError INVALID_OPTION, NOT_INITIALISED, CONFIG_MISMATCH, CLUSTER_MANAGED, REDIS_UNREACHABLE, REDIS_EVICTS, and what a
 * server can be refused for when a cluster is started; nothing is left open then.
 */
export async function createClient(options: ClientOptions): Promise<Client> {
  checkOptions(options);
  const namespace = namespaceOf(options.namespace);
  const { redis, connectTimeoutMs, ioTimeoutMs } = options;
  const nodes = newNodes(options.servers ?? []);
  const operate = { timeoutMs: options.timeoutMs ?? 5_000, retryAmbiguous: options.retryAmbiguous ?? false };
  if (redis === undefined) {
    const servers = nodes.map((node, index) => newRecord(node, index));
    const { compat = "ringshift", unmanaged = false } = options;
    return new Client(
      await openPlain({ servers, namespace, compat, unmanaged, connectTimeoutMs, ioTimeoutMs }),
      operate,
    );
  }
  const open = await openManaged({
    redis,
    namespace,
    connectTimeoutMs,
    ioTimeoutMs,
    caretaker: true,
    ...(nodes.length === 0
      ? {}
      : { seed: (store, pool) => initialiseIfNeeded(store, pool, namespace, nodes, { compat: options.compat }) }),
  });
  const { compat } = open.session.view.document.ring;
  if (options.compat !== undefined && options.compat !== compat) {
    await open.close();
    throw new RingshiftError(
      "CONFIG_MISMATCH",
      `The cluster has compat ${compat}, this client asks for ${options.compat}: leave the option out.`,
    );
  }
  return new Client(open, operate);
}
