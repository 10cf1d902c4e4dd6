import type { Core } from "./core.ts";
import type { Location } from "./types.ts";

/** Where a key lives now. @throws RingshiftError INVALID_KEY */
export function locate(core: Core, key: string): Location {
  const wireKey = core.wire(key);
  const { session } = core;
  const { document, unfenced } = session.view;
  const route = session.view.route(wireKey);
  const { name, address, index } = route.node;
  return {
    key,
    wireKey: Buffer.from(wireKey, "latin1").toString("utf8"),
    point: route.point,
    node: name,
    address,
    index,
    set: unfenced ? undefined : session.namespace.keysOf(document.generation, route.point),
    movingFrom: route.moving ? route.source!.name : undefined,
  };
}
