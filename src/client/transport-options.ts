/** How a client speaks to its servers: which protocol, over how many connections, who it is there. */
import { binaryProtocol } from "../binary/protocol.ts";
import { RingshiftError, shown } from "../errors.ts";
import { checkAccess } from "../memcached/access.ts";
import type { LinkPoolOptions } from "../memcached/pool.ts";
import type { ClientOptions } from "./options.ts";

/** Connections per server, at most: what a memcached takes in all is 1,024 by default. */
export const MAX_CONNECTIONS = 64;

export type TransportOptions = Pick<ClientOptions, "protocol" | "connections" | "tls" | "auth" | "redis" | "onRejoin">;

/** @throws RingshiftError INVALID_OPTION */
export function checkTransport(options: TransportOptions): void {
  const { protocol = "meta", connections = 1, tls, redis, onRejoin } = options;
  if (protocol !== "meta" && protocol !== "binary") {
    throw new RingshiftError("INVALID_OPTION", `protocol is "meta" or "binary", not ${shown(protocol)}.`);
  }
  if (!Number.isSafeInteger(connections) || connections < 1 || connections > MAX_CONNECTIONS) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `connections is a whole number from 1 to ${MAX_CONNECTIONS}, not ${shown(connections)}.`,
    );
  }
  checkAccess(options);
  if (protocol === "meta") return;
  if (tls !== undefined && tls !== false) {
    throw new RingshiftError("INVALID_OPTION", 'tls is for the meta protocol: memjs, which speaks "binary", has none.');
  }
  if (onRejoin === "flush" && redis === undefined) {
    throw new RingshiftError(
      "INVALID_OPTION",
      'onRejoin "flush" has to list the keys of a server, which the binary protocol cannot: leave it out.',
    );
  }
}

/** What a pool is told. The credentials of the binary protocol are SASL's; a meta connection beside it shows none. */
export function transportOf(options: TransportOptions): Pick<LinkPoolOptions, "access" | "connections" | "protocol"> {
  const { protocol, connections, tls, auth, redis } = options;
  if (protocol !== "binary") return { access: { tls, auth }, connections };
  return { access: {}, connections, protocol: binaryProtocol(auth, redis !== undefined) };
}
