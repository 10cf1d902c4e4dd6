/** The option `discovery` of a client. */
import { invalidOption, shown } from "../errors.ts";
import { MAX_TIMER_MS, requireKnown, requireMilliseconds } from "../known-options.ts";
import { sourceOf } from "./source.ts";

export interface DiscoveryOptions {
  /** Where the servers are named: `file:PATH`, `dns:HOST[:PORT]`, `dns:_service._tcp.HOST`, or `elasticache:HOST[:PORT]`. */
  readonly from: string;
  /** Between two looks, in ms. Default 60,000. */
  readonly intervalMs?: number | undefined;
  /**
   * Carry out what the source says, as live migrations, once two looks in a row have shown it. Needs `redis`. Default false: a difference is
   * an event (`discovery`) and nothing more.
   */
  readonly autoApply?: boolean | undefined;
  /** DNS servers to ask instead of the system's, as `127.0.0.1:8600`. */
  readonly dnsServers?: readonly string[] | undefined;
}

const KNOWN = ["from", "intervalMs", "autoApply", "dnsServers"] satisfies (keyof DiscoveryOptions)[];
const DEFAULT_INTERVAL_MS = 60_000;

export function intervalOf({ intervalMs = DEFAULT_INTERVAL_MS }: DiscoveryOptions): number {
  return intervalMs;
}

/** @throws RingshiftError INVALID_OPTION */
export function checkDiscovery(options: DiscoveryOptions, managed: boolean): void {
  if (typeof options !== "object" || options === null) {
    throw invalidOption('discovery is an object: { from: "dns:cache.example:11211" }.');
  }
  requireKnown("discovery", options, KNOWN);
  const { from, intervalMs, autoApply, dnsServers } = options;
  sourceOf(from);
  requireMilliseconds("discovery.intervalMs", intervalMs, MAX_TIMER_MS);
  if (autoApply !== undefined && typeof autoApply !== "boolean") {
    throw invalidOption(`discovery.autoApply is true or false, not ${shown(autoApply)}.`);
  }
  if (autoApply === true && !managed) {
    throw invalidOption("discovery.autoApply needs `redis`: without it the servers of a client never change.");
  }
  if (dnsServers !== undefined && !(Array.isArray(dnsServers) && dnsServers.length > 0)) {
    throw invalidOption('discovery.dnsServers is a list of addresses: ["127.0.0.1:8600"].');
  }
}
