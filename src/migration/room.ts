/**
 * Whether what a change moves would fit where it goes. An estimate, made before anything is touched: by the sources' average item, and by the
 * servers' item size limits. A destination that evicts always takes everything, and may lose some of it, as Memcached does.
 */
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { probeServer, stats } from "../memcached/admin.ts";
import { isDead, type NodeRecord, type TopologyDocument } from "../topology/document.ts";
import type { Plan } from "./plan.ts";

/** memcached hands out memory in slab pages of fixed item sizes, so the last part of it cannot be filled with just anything. */
const USABLE = 0.9;

interface Server {
  readonly itemSizeMax: number | undefined;
  readonly evictions: boolean | undefined;
  readonly maxBytes: number | undefined;
  readonly bytes: number;
  readonly items: number;
}

/** @throws RingshiftError WOULD_NOT_FIT; NODE_DOWN when a server cannot be asked */
export async function checkRoom(plan: Plan, document: TopologyDocument, access?: ServerAccess): Promise<void> {
  const nodes = new Map([...document.nodes, ...plan.nodes].map((node) => [node.name, node]));
  const moves = plan.moves.filter((move) => move.keys > 0 && !isDead(document, move.from));
  const servers = new Map<string, Server>();
  for (const name of new Set(moves.flatMap((move) => [move.from, move.to]))) {
    servers.set(name, await ask(nodes.get(name)!, access));
  }
  for (const name of new Set(moves.map((move) => move.to))) {
    const to = servers.get(name)!;
    let bytes = 0;
    for (const move of moves.filter((other) => other.to === name)) {
      const from = servers.get(move.from)!;
      if ((to.itemSizeMax ?? 0) < (from.itemSizeMax ?? 0)) throw smaller(name, to, move.from, from);
      bytes += from.items === 0 ? 0 : (move.keys * from.bytes) / from.items;
    }
    const free = ((to.maxBytes ?? 0) - to.bytes) * USABLE;
    if (to.evictions === false && bytes > free) throw full(name, bytes, free);
  }
}

async function ask({ address }: NodeRecord, access: ServerAccess | undefined): Promise<Server> {
  const [probe, general] = await Promise.all([probeServer(address, { access }), stats(address, "", { access })]);
  const number = (name: string) => Number(general.get(name) ?? 0);
  return { ...probe, bytes: number("bytes"), items: number("curr_items") };
}

function smaller(name: string, to: Server, fromName: string, from: Server): RingshiftError {
  return new RingshiftError(
    "WOULD_NOT_FIT",
    `${name} stores items of at most ${to.itemSizeMax} bytes, ${fromName} of ${from.itemSizeMax}: start it with -I ${from.itemSizeMax}, or insist with --force.`,
    { node: name },
  );
}

function full(name: string, bytes: number, free: number): RingshiftError {
  return new RingshiftError(
    "WOULD_NOT_FIT",
    `About ${mebibytes(bytes)} MiB would move to ${name}, which has room for ${mebibytes(free)} MiB and does not evict (-M): give it more memory (-m), or insist with --force.`,
    { node: name },
  );
}

function mebibytes(bytes: number): string {
  return (Math.max(0, bytes) / 2 ** 20).toFixed(1);
}
