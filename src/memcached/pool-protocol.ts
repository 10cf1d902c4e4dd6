/** Another protocol than the meta protocol for a pool's servers (src/binary has the one there is). */
import type { Command } from "./exchange.ts";
import type { OpenCarrier } from "./link-options.ts";

/** Questions to one server, each over a short connection of its own. What they throw is a RingshiftError. */
export interface ServerAdmin {
  version(): Promise<string>;
  /** `stats`, or `stats <what>`, by name. */
  stats(what: string): Promise<Map<string, string>>;
  /** Removes every item of the server. */
  flushAll(): Promise<void>;
}

export interface PoolProtocol {
  readonly connect: OpenCarrier;
  /**
   * @param timeoutMs of one question. Default 2000
   * @param signal ends questions under way: CLOSED
   */
  admin(address: string, timeoutMs?: number, signal?: AbortSignal): ServerAdmin;
  /** True where it has a word for the command. */
  speaks(command: Command): boolean;
  /**
   * The servers speak the meta protocol as well: what this one has no words for goes over a meta connection beside it. False: it answers
   * NOT_SUPPORTED, and nothing is sent.
   */
  readonly metaBeside: boolean;
}
