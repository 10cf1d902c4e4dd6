/**
 * append and prepend where values may be compressed: bytes put behind a compressed value would be lost in it. So the value is read, and a
 * compressed one is taken apart, extended, and stored by its CAS as it would have been without compression.
 *
 * Any client may find such a value, since a call's own option or another client can have compressed it. One that compresses as a rule reads
 * at once; one that does not extends in place, and reads when the look before that shows a compressed value.
 */
import { exptimeOf } from "../memcached/commands.ts";
import { arrive } from "../protocol/attempt.ts";
import * as mutate from "../protocol/mutate.ts";
import { Retry } from "../protocol/outcome.ts";
import { readOwner } from "../protocol/read.ts";
import type { Session } from "../protocol/session.ts";
import type { Item } from "../protocol/store.ts";
import type { Route } from "../protocol/view.ts";
import { decompress, FLAG_COMPRESSION } from "./compress.ts";

const MAX_ROUNDS = 200;

/** As `mutate.extend`, where few values are compressed. */
export async function extendInPlace(session: Session, route: Route, data: Buffer, mode: "A" | "P"): Promise<boolean> {
  try {
    return await mutate.extend(session, route, data, mode, ({ flags = 0 }) => {
      if ((flags & FLAG_COMPRESSION) !== 0) throw new IsCompressed();
    });
  } catch (error) {
    if (!(error instanceof IsCompressed)) throw error;
    return extendCompressed(session, route, data, mode);
  }
}

class IsCompressed extends Error {}

/** As `mutate.extend`, where most values are. */
export async function extendCompressed(
  session: Session,
  route: Route,
  data: Buffer,
  mode: "A" | "P",
): Promise<boolean> {
  await arrive(session, route);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const found = await readOwner(session, route, "v f c t");
    if (found === undefined) return false;
    const { reply, exchanged } = found;
    const flags = reply.flags ?? 0;
    const plain = decompress(reply.value!, flags);
    const { ttl } = reply;
    const item: Item = {
      data: Buffer.concat(mode === "A" ? [plain, data] : [data, plain]),
      flags: flags & ~FLAG_COMPRESSION,
      exptime: ttl === undefined || ttl < 0 ? 0 : exptimeOf(Math.max(1, ttl), session.clock.epochSeconds()),
    };
    const { connection } = exchanged;
    const binding = { cas: reply.cas!, incarnation: exchanged.fence?.incarnation ?? "", connection };
    if (await mutate.compareAndSet(session, route, item, binding)) return true;
  }
  throw new Retry();
}
