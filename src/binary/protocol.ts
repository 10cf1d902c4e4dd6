/** The binary protocol for a pool, over memjs: for servers that ask for SASL, or that are older than the meta protocol. */
import type { Credentials } from "../memcached/access.ts";
import type { PoolProtocol } from "../memcached/pool-protocol.ts";
import { BinaryAdmin } from "./admin.ts";
import { BinaryConnection } from "./connection.ts";
import { translate } from "./translate.ts";

/**
 * @param auth SASL PLAIN; without it none is tried
 * @param metaBeside the servers speak meta as well, as those of a managed cluster do: what binary has no words for goes there
 */
export function binaryProtocol(auth: Credentials | undefined, metaBeside: boolean): PoolProtocol {
  return {
    connect: (target, hooks) => new BinaryConnection(target, hooks, auth),
    admin: (address, timeoutMs, signal) => new BinaryAdmin(address, auth, timeoutMs, signal),
    speaks: (command) => translate(command) !== undefined,
    metaBeside,
  };
}
