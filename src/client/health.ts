/** Servers that do not answer, as a session has it: when they count as down, what they need before they serve again, who is told. */
import type { RingshiftError } from "../errors.ts";
import type { PoolHealth } from "../memcached/pool.ts";
import type { Endpoint } from "../memcached/transport.ts";
import type { DirtyKeys } from "../topology/dirty-keys.ts";
import type { Namespace } from "../topology/namespace.ts";
import { type OnRejoin, Rejoin } from "./rejoin.ts";

/** What a session does about servers that do not answer. */
export interface HealthOptions {
  /** Connections in a row that came to nothing until a server is down. */
  readonly downAfter: number;
  /** Undefined: a server that is back serves as it is. */
  readonly onRejoin: OnRejoin | undefined;
}

/** Who is told, to be set by whoever opened the session. */
export interface NodeHealth {
  readonly rejoin: Rejoin | undefined;
  onDown: (node: Endpoint, error: RingshiftError) => void;
  onUp: (node: Endpoint) => void;
}

export function healthOf({ onRejoin }: HealthOptions, namespace: Namespace, dirty: DirtyKeys | undefined): NodeHealth {
  const rejoin = onRejoin && new Rejoin(onRejoin, namespace, dirty);
  return { rejoin, onDown: () => {}, onUp: () => {} };
}

export function poolHealth({ downAfter }: HealthOptions, health: NodeHealth): PoolHealth {
  const { rejoin } = health;
  return {
    downAfter,
    onRejoin: rejoin && ((node, exchange) => rejoin.readmit(node, exchange)),
    onDown: (node, error) => health.onDown(node, error),
    onUp: (node) => health.onUp(node),
  };
}
