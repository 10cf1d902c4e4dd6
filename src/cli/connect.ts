/** Opens what a command needs and closes it in every case, in bounded time. */

import type { Client } from "../client/client.ts";
import { createClient } from "../client/create.ts";
import type { ClientOptions } from "../client/options.ts";
import { type Admin, type AdminOptions, openAdmin } from "../migration/admin.ts";
import type { Globals } from "./options.ts";

/** A server that hangs does not keep the program from ending. */
const CLOSE_MS = 2_000;

/** @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE, and what `work` throws */
export async function withAdmin<T>(globals: Globals, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = await openAdmin(clusterOf(globals));
  try {
    return await work(admin);
  } finally {
    await closed(admin.close());
  }
}

/** @throws RingshiftError NOT_INITIALISED, REDIS_UNREACHABLE, and what `work` throws */
export async function withClient<T>(globals: Globals, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await createClient(clusterOf(globals));
  try {
    return await work(client);
  } finally {
    await closed(client.quit());
  }
}

/** Waits for a close, not for long; it is the end of the program either way. */
export async function closed(closing: Promise<void>): Promise<void> {
  const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref());
  await Promise.race([closing.catch(() => {}), late]);
}

/** The cluster that the command is about, and how its servers are reached: what both a client and an operator's handle take. */
export function clusterOf({ redis, namespace, tls, auth }: Globals): AdminOptions & ClientOptions {
  return { redis, namespace, ...(tls === undefined ? {} : { tls }), ...(auth === undefined ? {} : { auth }) };
}
