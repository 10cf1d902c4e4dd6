/**
 * The nodes of a ring: what a caller may say of them, and how many points each gets.
 *
 * By default a node's points are absolute (160 per unit of weight), so adding a node cannot move a key between old nodes. The C libraries
 * share 160 * n points out by the node's part of the total weight, in float32; the compat modes reproduce that to the bit.
 */

import { invalidOption, shown } from "../errors.ts";
import { POINTS_PER_VNODE } from "./short-points.ts";

/**
 * How the ring is built.
 * - `ringshift`: 160 points per unit of weight, nodes in name order.
 * - `libketama`: as RJ/ketama does, nodes in list order.
 * - `libmemcached`: as libmemcached's KETAMA_WEIGHTED with MD5 (and twemproxy) does: list order, `:11211` left out of the hashed name.
 */
export type RingCompat = "ringshift" | "libketama" | "libmemcached";

export const RING_COMPATS: readonly RingCompat[] = ["ringshift", "libketama", "libmemcached"];

/** A node as the caller describes it. */
export interface RingNodeInput {
  /** What is hashed, by convention `host:port`; an address may change without it. */
  readonly name: string;
  /** Share of the keys relative to other nodes, more than 0 and at most 102.4 (2^32 - 1 in the compat modes). Default 1. Not with `vnodes`. */
  readonly weight?: number | undefined;
  /** md5 rounds of four points each, an integer from 1 to 4,096. Not in the compat modes. */
  readonly vnodes?: number | undefined;
}

/** A node of a ring. `weight` is undefined exactly when `vnodes` was given. */
export interface RingNode extends RingNodeInput {
  readonly weight: number | undefined;
  readonly vnodes: number | undefined;
  /** Points on the ring. In the compat modes it can be 0: then the node gets no keys, as in the C libraries. */
  readonly points: number;
}

/** A node with the string that its points are made of. */
export interface PlannedNode {
  readonly node: RingNode;
  readonly hashedName: string;
}

/** md5 rounds per unit of weight. */
export const VNODES_PER_WEIGHT = 40;
export const MAX_VNODES = 4096;
export const MAX_NODES = 4096;
/** Weights within these bounds stay finite and above 0 in the C libraries' float32; the upper is libmemcached's type. */
const MIN_WEIGHT = 0.000001;
const MAX_WEIGHT = 2 ** 32 - 1;
/** Points of a whole ring: 26,000 nodes' worth of 160. */
export const MAX_POINTS = 1 << 22;

const NAME = /^[A-Za-z0-9._:/[\]-]{1,250}$/;
const f32 = Math.fround;

/**
 * Checks a node's name: 1 to 250 of `A-Z a-z 0-9 . _ : / [ ] -`, and no name of `Object.prototype`, which would be a trap to every
 * plain object that is keyed by node.
 *
 * @throws INVALID_OPTION
 */
export function checkNodeName(name: string): void {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw invalidOption(`node name ${shown(name)}: 1 to 250 characters of A-Z a-z 0-9 . _ : / [ ] - are allowed`);
  }
  if (name in Object.prototype)
    throw invalidOption(`node name "${name}" is a property of every object: choose another`);
}

/**
 * The nodes in ring order (which decides between equal points) with the points each is to get.
 *
 * @throws INVALID_OPTION for an empty list, duplicates, bad names, weights or vnodes
 */
export function planNodes(inputs: readonly RingNodeInput[], compat: RingCompat): PlannedNode[] {
  if (inputs.length === 0) throw invalidOption("a ring needs at least one node");
  if (inputs.length > MAX_NODES) throw invalidOption(`${inputs.length} nodes: a ring has at most ${MAX_NODES}`);
  for (const input of inputs) checkNode(input, compat);
  const ordered = compat === "ringshift" ? [...inputs].sort((a, b) => (a.name < b.name ? -1 : 1)) : inputs;
  const total = ordered.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const byHashedName = new Map<string, string>();
  let points = 0;
  const planned = ordered.map((input): PlannedNode => {
    const { name, vnodes } = input;
    const hashedName = compat === "libmemcached" ? name.replace(/(?<=.):11211$/, "") : name;
    checkNodeName(hashedName);
    const twin = byHashedName.get(hashedName);
    if (twin === name) throw invalidOption(`node "${name}" is listed twice`);
    if (twin !== undefined) throw invalidOption(`nodes "${twin}" and "${name}" are the same in libmemcached's ring`);
    byHashedName.set(hashedName, name);
    const weight = vnodes === undefined ? (input.weight ?? 1) : undefined;
    const rounds = vnodes ?? roundsOf(name, weight!, total, inputs.length, compat);
    points += rounds * POINTS_PER_VNODE;
    return { node: Object.freeze({ name, weight, vnodes, points: rounds * POINTS_PER_VNODE }), hashedName };
  });
  if (points > MAX_POINTS)
    throw invalidOption(`${points} points: a ring has at most ${MAX_POINTS}; lower the weights or vnodes`);
  return planned;
}

function checkNode({ name, weight, vnodes }: RingNodeInput, compat: RingCompat): void {
  checkNodeName(name);
  if (weight !== undefined && vnodes !== undefined)
    throw invalidOption(`node "${name}": give weight or vnodes, not both`);
  if (weight !== undefined && !(typeof weight === "number" && weight >= MIN_WEIGHT && weight <= MAX_WEIGHT)) {
    throw invalidOption(`node "${name}": weight ${shown(weight)} is not a number from ${MIN_WEIGHT} to ${MAX_WEIGHT}`);
  }
  if (vnodes === undefined) return;
  if (compat !== "ringshift") throw invalidOption(`node "${name}": compat "${compat}" knows weights only, not vnodes`);
  if (!Number.isInteger(vnodes) || vnodes < 1 || vnodes > MAX_VNODES) {
    throw invalidOption(`node "${name}": vnodes ${shown(vnodes)} is not an integer from 1 to ${MAX_VNODES}`);
  }
}

/** md5 rounds for a weight: absolute by default, a part of `40 * count` in the compat modes. */
function roundsOf(name: string, weight: number, total: number, count: number, compat: RingCompat): number {
  if (compat === "ringshift") {
    const rounds = Math.max(1, Math.round(VNODES_PER_WEIGHT * weight));
    if (rounds <= MAX_VNODES) return rounds;
    const most = MAX_VNODES / VNODES_PER_WEIGHT;
    throw invalidOption(
      `node "${name}": weight ${weight} is more than ${most}; scale the weights, or use a compat mode`,
    );
  }
  // The operations and their float32 roundings are those of the C sources, in their order.
  const part = f32(f32(weight) / f32(total));
  if (compat === "libketama") return Math.floor(f32(part * 40 * count));
  const product = f32(f32(f32(part * 160) / 4) * count);
  return Math.floor(f32(product + 1e-10));
}
