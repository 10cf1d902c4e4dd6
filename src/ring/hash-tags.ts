/**
 * Hash tags: of `{user:1}:profile` only `user:1` is hashed, so that the keys of one user lie on one server. As in Redis Cluster, the tag
 * is what stands between the first `{` and the next `}`, unless that is nothing. All clients of a cluster have to agree, so whether tags
 * count stands in the topology document (`ring.hashTags`).
 */
import { keyHash } from "./hash.ts";

/** The part of a wire key that is hashed where tags count. */
export function tagOf(wire: string): string {
  const open = wire.indexOf("{");
  if (open === -1) return wire;
  const close = wire.indexOf("}", open + 1);
  return close === -1 || close === open + 1 ? wire : wire.slice(open + 1, close);
}

/** Position of a key on the ring of a cluster with or without hash tags. @throws RingshiftError INVALID_KEY as `keyHash` */
export function hashOf(wire: string, hashTags: boolean): number {
  return keyHash(hashTags ? tagOf(wire) : wire);
}
