/** The ketama ring by itself (`ringshift/ring`): routing, differences of rings, and ketama's servers file. Pure: no I/O, no clock. */

export { type Arc, diffRings, type RingDiff, type SameNode } from "./diff.ts";
export { keyHash, wireKeyOf } from "./hash.ts";
export { hashOf, tagOf } from "./hash-tags.ts";
export {
  checkNodeName,
  MAX_NODES,
  MAX_POINTS,
  MAX_VNODES,
  RING_COMPATS,
  type RingCompat,
  type RingNode,
  type RingNodeInput,
  VNODES_PER_WEIGHT,
} from "./nodes.ts";
export { buildRing, Ring, type RingOptions } from "./ring.ts";
export { parseServersFile, type ServersFileEntry } from "./servers-file.ts";
