/**
 * The marker item: a server that carries it belongs to a ringshift cluster, of whatever namespace. It is put with the first fence, and
 * again whenever a lost fence is planted, since what lost the fence (a restart, a flush) lost the marker too.
 */
import { classicAdd } from "./commands.ts";
import type { Command } from "./exchange.ts";
import { MANAGED_KEY } from "./key.ts";

const TEXT = Buffer.from(
  "This server belongs to a ringshift cluster; a client without Redis would go round its fences.",
);

/** Puts the marker where none is. */
export const MARK_MANAGED: Command = classicAdd(MANAGED_KEY, 0, 0, TEXT);
