/**
 * A lease: whoever holds it computes the value of a key that has none, once for all processes. It is a placeholder (the magic client
 * flags), so there is one kind of item that is absent to every command; the difference to the placeholder of a pull is its text:
 *
 *   pull     ""                                  stands for milliseconds
 *   lease    "lease <epoch> <holder>"            stands while the loader works; renewed by CAS, else gone within LEASE_TTL_S
 *
 * A lease is taken by `add` (after P, in D), renewed and given back by its CAS, and filled by a classic `cas` on it: a `set`, `delete`, or
 * whatever else happens to the key meanwhile makes the fill fail, so a value loaded before an invalidation never follows it.
 *
 * The epoch says that P had passed when the lease was put: nothing of the key was at the old owner, nor can it come back there under that
 * epoch. So a lease of the view's own epoch need not be removed by who answers "missing" from it, nor waited for by a pull.
 */
import { classicAdd, classicCas, metaDelete, metaGet, PLACEHOLDER_FLAGS } from "../memcached/commands.ts";
import type { ConnectionRef, Exchanged, Reply } from "../memcached/exchange.ts";
import type { Session } from "./session.ts";
import { ask, requireAccepted } from "./validate.ts";
import type { Route, View } from "./view.ts";

/** A loader that dies frees its key within this. */
export const LEASE_TTL_S = 5;

/** From S over F and D to S. */
const ONE_MIGRATION_EPOCHS = 3;

/** A lease that this process holds. */
export interface Lease {
  readonly text: Buffer;
  readonly cas: string;
  readonly node: string;
  readonly connection: ConnectionRef;
  /** Of the view that it was put under, or renewed. */
  readonly epoch: number;
  /** `migrationsOf` that view. */
  readonly migrations: number;
}

const PATTERN = /^lease (\d{1,15}) [0-9a-f]{16}$/;

/** The epoch a lease was put under; undefined for any other text. */
export function leaseEpoch(value: Buffer | undefined): number | undefined {
  if (value === undefined || value.length === 0) return undefined;
  const match = PATTERN.exec(value.toString("latin1"));
  return match === null ? undefined : Number(match[1]);
}

/** An item read with `v f`, or `s f`, is a lease that may be left where it is by who takes it for a miss. */
export function standsAsMiss(route: Route, reply: Reply): boolean {
  if (!route.careful && (reply.size ?? 0) > 0) return true; // no pull can be under way
  const epoch = leaseEpoch(reply.value);
  return epoch !== undefined && (!route.careful || epoch === route.view.document.epoch);
}

/**
 * Puts a lease where nothing is. The caller has done P. Undefined: something is there, a value or somebody's placeholder. `refused`: nothing is,
 * and the server, which does not evict, has no memory for a lease either.
 * @throws Retry
 */
export async function takeLease(session: Session, route: Route): Promise<Lease | "refused" | undefined> {
  const text = Buffer.from(`lease ${route.view.document.epoch} ${session.clock.randomId()}`, "latin1");
  const put = classicAdd(route.key, PLACEHOLDER_FLAGS, LEASE_TTL_S, text);
  // a lease that is not accepted, or not even answered, is no value: it expires
  const exchanged = await ask(session, route.view, route.node, [put, metaGet(route.key, "v f c")]);
  await requireAccepted(session, route, exchanged, false);
  const [stored, look] = exchanged.replies as [Reply, Reply];
  if (stored.status === "SERVER_ERROR" && look.cas === undefined) return "refused";
  return leaseOf(route, text, exchanged);
}

/** Gives the lease its full time again. Undefined: it is lost. @throws Retry when that is not known */
export async function renewLease(session: Session, route: Route, lease: Lease): Promise<Lease | undefined> {
  if (!isHere(route, lease)) return undefined;
  const { text, cas } = lease;
  const put = classicCas(route.key, PLACEHOLDER_FLAGS, LEASE_TTL_S, cas, text);
  const exchanged = await ask(session, route.view, route.node, [put, metaGet(route.key, "v f c")], lease.connection);
  await requireAccepted(session, route, exchanged, false);
  return leaseOf(route, text, exchanged);
}

/** Frees the key; false when the lease is lost. @throws Retry when that is not known */
export async function giveBackLease(session: Session, route: Route, lease: Lease): Promise<boolean> {
  if (!isHere(route, lease)) return false;
  const command = metaDelete(route.key, { cas: lease.cas });
  const exchanged = await ask(session, route.view, route.node, [command], lease.connection);
  await requireAccepted(session, route, exchanged, false);
  return exchanged.replies[0]!.status === "HD";
}

/** The lease as it stands on the server, after a broken connection: CAS tokens count on the connection that gave them only. */
export async function findLease(session: Session, route: Route, lease: Lease): Promise<Lease | undefined> {
  if (!isHere(route, lease)) return undefined;
  const exchanged = await ask(session, route.view, route.node, [metaGet(route.key, "v f c")]);
  await requireAccepted(session, route, exchanged, false);
  const reply = exchanged.replies[0]!;
  if (!isOurs(reply, lease.text)) return undefined;
  return { ...lease, cas: reply.cas!, connection: exchanged.connection };
}

/**
 * The key has not left the lease's server since: that takes one migration away from it and one back, or one whose destination dies (D, D, D). A
 * lease is in no index, so where nobody reads its key it is still there when the key comes back, and what has happened to the key
 * meanwhile has not touched it.
 */
export function isHere({ view, node }: Route, lease: Lease): boolean {
  if (lease.node !== node.name) return false;
  const migrations = migrationsOf(view) - lease.migrations;
  return migrations === 0 || (migrations === 1 && view.document.epoch - lease.epoch <= ONE_MIGRATION_EPOCHS);
}

/** Migrations that have given keys other owners: in D the one under way has. */
function migrationsOf({ document }: View): number {
  return document.phase === "D" ? document.migrations + 1 : document.migrations;
}

function isOurs({ flags, value }: Reply, text: Buffer): boolean {
  return flags === PLACEHOLDER_FLAGS && value !== undefined && value.equals(text);
}

/** By a look, and put by classic commands: an `ms` that fails for want of memory would delete what stands there instead. */
function leaseOf(route: Route, text: Buffer, { replies, connection }: Exchanged): Lease | undefined {
  const reply = replies.at(-1)!;
  if (!isOurs(reply, text)) return undefined;
  const { view, node } = route;
  const { epoch } = view.document;
  return { text, cas: reply.cas!, node: node.name, connection, epoch, migrations: migrationsOf(view) };
}
