/**
 * TTL check: a move may lengthen a value's life by what Memcached's whole seconds cost, and by no more. Each pull's read at the old owner
 * is remembered with the time at which that copy ends; its fill must not set a later end, beyond the rounding of two clocks and the time its
 * packet took.
 */
import { PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { Command } from "../memcached/exchange.ts";
import { EPOCH_SECONDS, type SimServer } from "./server.ts";

/** The old owner's clock rounds up, the puller rounds up. */
const ROUNDING_MS = 2_000;

export class TtlWatch {
  /** By key: when the copy that was read ends (virtual ms), and when the fill's command was made. */
  readonly #read = new Map<string, { readonly value: string; readonly end: number }>();

  /** A command is about to run. Answers what is wrong with it, if it is a fill that lengthens a life. */
  running(server: SimServer, { line, data }: Command, sentAt: number, now: number): string | undefined {
    if (line.endsWith(" v t f c") && line.startsWith("mg ")) {
      const key = line.slice(3, -8);
      const item = server.items.get(key);
      if (item !== undefined) {
        this.#read.set(key, { value: item.value.toString("latin1"), end: endOf(server, item.expiresAt) });
      }
      return undefined;
    }
    if (!line.startsWith("cas ")) return undefined;
    const [, key = "", flags, exptime, , cas] = line.split(" ");
    const item = server.items.get(key);
    const read = this.#read.get(key);
    if (item?.flags !== PLACEHOLDER_FLAGS || String(item.cas) !== cas || Number(flags) === PLACEHOLDER_FLAGS) return;
    if (read === undefined || read.value !== data!.toString("latin1")) return undefined;
    const end = Number(exptime) === 0 ? Number.POSITIVE_INFINITY : endOf(server, server.second + Number(exptime));
    if (end <= read.end + ROUNDING_MS + (now - sentAt)) return undefined;
    return `${key} = ${read.value} ends at ${read.end.toFixed(0)} ms; its copy at ${server.name} would at ${end.toFixed(0)} ms`;
  }
}

/** Virtual ms at which an item with that expiry is gone. */
function endOf(server: SimServer, expiresAt: number): number {
  if (expiresAt === 0) return Number.POSITIVE_INFINITY;
  return (expiresAt - EPOCH_SECONDS) * 1000 - server.offset;
}
