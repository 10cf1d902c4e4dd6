/** The options of a client, each with its default. */
import { RingshiftError } from "../errors.ts";
import type { NewNode } from "../migration/change.ts";
import type { Compat } from "../topology/document.ts";

export interface ClientOptions {
  /** URL of the Redis that holds topology and index. Without it: a plain ketama client over `servers`, with no live change. */
  readonly redis?: string;
  /**
   * Servers, as `host:port` or with name, weight or vnodes. With `redis` they only start a cluster that Redis does not know yet;
   * what Redis knows counts.
   */
  readonly servers?: readonly (string | NewNode)[];
  /** Keeps several clusters apart on the same servers and Redis: keys go as `namespace:key`. Default: none, keys go as they are. */
  readonly namespace?: string;
  /** How ring points are placed. Default `ringshift`: exactly 160 points per unit of weight. The others reproduce the C libraries. */
  readonly compat?: Compat;
  /** Time of one operation from its call to the start of its last attempt, in ms. Default 5000. */
  readonly timeoutMs?: number;
  /** Time to connect to a server, in ms. Default 1000. */
  readonly connectTimeoutMs?: number;
  /** A connection that does not answer a flush within this is destroyed, in ms. Default 1000. */
  readonly ioTimeoutMs?: number;
  /** Attempt set and delete again when their effect is unknown: at least once instead of at most once. Default false. */
  readonly retryAmbiguous?: boolean;
  /** Without `redis`: serve although a server belongs to a managed cluster. Default false. */
  readonly unmanaged?: boolean;
}

const KNOWN = new Set<string>([
  "redis",
  "servers",
  "namespace",
  "compat",
  "timeoutMs",
  "connectTimeoutMs",
  "ioTimeoutMs",
  "retryAmbiguous",
  "unmanaged",
] satisfies (keyof ClientOptions)[]);

/** @throws RingshiftError INVALID_OPTION */
export function checkOptions(options: ClientOptions): void {
  for (const name of Object.keys(options)) {
    if (!KNOWN.has(name)) {
      throw new RingshiftError(
        "INVALID_OPTION",
        `createClient knows no option ${name}; it has ${[...KNOWN].join(", ")}.`,
      );
    }
  }
  for (const name of ["timeoutMs", "connectTimeoutMs", "ioTimeoutMs"] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) {
      throw new RingshiftError("INVALID_OPTION", `${name} is a number of milliseconds above 0, not ${value}.`);
    }
  }
  if (options.redis === undefined && !options.servers?.length) {
    throw new RingshiftError("INVALID_OPTION", "createClient needs `redis`, or `servers` for a plain ketama client.");
  }
}

export function newNodes(servers: readonly (string | NewNode)[]): NewNode[] {
  return servers.map((server) => (typeof server === "string" ? { address: server } : server));
}
