/** Reads a value as it lies on its server: bytes and client flags, whoever wrote them. */
import { type OperateOptions, operate } from "../client/operate.ts";
import { openManaged } from "../client/session.ts";
import { toWireKey } from "../memcached/key.ts";
import { read } from "../protocol/read.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { OPERATOR_TIMEOUT_MS } from "../topology/redis-connection.ts";
import { closed } from "./connect.ts";
import type { Globals } from "./options.ts";

const OPERATE: OperateOptions = { timeoutMs: 5_000, retryAmbiguous: false };

export interface RawValue {
  readonly value: Buffer;
  readonly flags: number;
}

/** Undefined on a miss. @throws RingshiftError */
export async function readRaw(globals: Globals, key: string): Promise<RawValue | undefined> {
  const namespace = namespaceOf(globals.namespace);
  const wire = toWireKey(namespace.keyPrefix, key);
  const { redis, tls, auth } = globals;
  const open = await openManaged({ redis, namespace, access: { tls, auth }, redisTimeoutMs: OPERATOR_TIMEOUT_MS });
  try {
    return await operate(open.session, OPERATE, {
      key,
      wire,
      hash: open.session.view.hashOf(wire),
      write: false,
      repeatable: true,
      attempt: async (route) => {
        const found = await read(open.session, route, "v f");
        return found && { value: found.reply.value!, flags: found.reply.flags ?? 0 };
      },
    });
  } finally {
    await closed(open.close());
  }
}
