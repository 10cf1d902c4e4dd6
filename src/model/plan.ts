/** What a run is about: a first ring over three servers, a chain of changes of it, and keys that these changes move. */
import type { Change } from "../migration/change.ts";
import { keyHash, Ring } from "../ring/index.ts";
import type { Profile } from "./profile.ts";
import type { Random } from "./random.ts";

export const SERVERS = ["a", "b", "c"] as const;
const MAX_VNODES = 2;
const CANDIDATES = Array.from({ length: 60 }, (_, i) => `k${i}`);

/** vnodes by server; 0: not in the ring. */
type Shape = readonly number[];

export interface Plan {
  /** vnodes of the servers that begin in the ring. */
  readonly first: readonly { readonly name: string; readonly vnodes: number }[];
  readonly changes: readonly Change[];
  readonly keys: readonly string[];
}

/** The server's address; its name is what is hashed. */
export function addressOf(name: string): string {
  return `${name}:11211`;
}

export function drawPlan(random: Random, keys: number, { changes: [fewest, most], back, joins }: Profile): Plan {
  for (;;) {
    const shapes = drawShapes(random, random.int(fewest, most), back, joins);
    const moves = movesOf(shapes);
    const moving = CANDIDATES.filter((key) => moves.has(key));
    if (moving.length < keys) continue;
    const often = [...moving].sort((a, b) => moves.get(b)! - moves.get(a)!).slice(0, 12);
    const chosen = new Set<string>();
    while (chosen.size < keys)
      chosen.add(random.pick(chosen.size === 0 ? often : random.chance(0.8) ? moving : CANDIDATES));
    const changes = shapes.slice(1).map((shape, i) => changeBetween(shapes[i]!, shape));
    return { first: nodesOf(shapes[0]!), changes, keys: [...chosen] };
  }
}

function drawShapes(random: Random, changes: number, backAgain: number, joins: boolean): Shape[] {
  const shapes: Shape[] = [SERVERS.map(() => random.int(random.chance(joins ? 0.6 : 0.3) ? 0 : 1, MAX_VNODES))];
  if (shapes[0]!.filter((vnodes) => vnodes > 0).length < 2) return drawShapes(random, changes, backAgain, joins);
  while (shapes.length <= changes) {
    const last = shapes.at(-1)!;
    const back = shapes.at(-3);
    const at = random.int(0, SERVERS.length - 1);
    const vnodes = joins && last[at]! > 0 ? 0 : random.int(0, MAX_VNODES);
    const next =
      back !== undefined && random.chance(backAgain) ? back : last.map((old, i) => (i === at ? vnodes : old));
    if (next.filter((count) => count > 0).length < 2) continue;
    if (next.filter((count, i) => count !== last[i]).length === 1) shapes.push(next);
  }
  return shapes;
}

/** By key: how many of the changes move it. Keys that none moves are left out. */
function movesOf(shapes: readonly Shape[]): Map<string, number> {
  const moves = new Map<string, number>();
  for (const [i, shape] of shapes.slice(1).entries()) {
    const [before, after] = [ownersOf(shapes[i]!), ownersOf(shape)];
    for (const key of CANDIDATES) if (before.get(key) !== after.get(key)) moves.set(key, (moves.get(key) ?? 0) + 1);
  }
  return moves;
}

const owners = new Map<number, Map<string, string>>();

function ownersOf(shape: Shape): Map<string, string> {
  const id = (shape[0]! * 3 + shape[1]!) * 3 + shape[2]!;
  let found = owners.get(id);
  if (found === undefined) {
    const ring = new Ring(nodesOf(shape));
    found = new Map(CANDIDATES.map((key) => [key, ring.names[ring.ownerAt(ring.locate(keyHash(key)))]!]));
    owners.set(id, found);
  }
  return found;
}

function nodesOf(shape: Shape) {
  return SERVERS.flatMap((name, i) => (shape[i] === 0 ? [] : [{ name, vnodes: shape[i]! }]));
}

function changeBetween(from: Shape, to: Shape): Change {
  const at = from.findIndex((vnodes, i) => vnodes !== to[i]);
  const [name, vnodes] = [SERVERS[at]!, to[at]!];
  if (vnodes === 0) return { kind: "remove-node", names: [name] };
  if (from[at] === 0) return { kind: "add-node", nodes: [{ name, address: addressOf(name), vnodes }] };
  return { kind: "set-vnodes", name, vnodes };
}
