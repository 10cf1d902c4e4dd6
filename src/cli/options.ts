/** The options that every command has, and the values that options take. */
import { type Command, InvalidArgumentError } from "commander";
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { formatAddress, parseAddress } from "../memcached/address.ts";
import type { NewNode } from "../migration/change.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { isRedisUrl, REDIS_URL_FORM } from "../topology/redis-url.ts";
import { type AccessFlags, accessOf, addAccessOptions } from "./access.ts";

const DEFAULT_REDIS = "redis://127.0.0.1:6379";
const MAX_INTERVAL_S = 86_400;

export interface Globals {
  /** URL of Redis. */
  readonly redis: string;
  readonly namespace: string;
  readonly json: boolean;
  /** How the servers are reached. */
  readonly tls: ServerAccess["tls"];
  readonly auth: ServerAccess["auth"];
}

/** They stand before or behind the command's name. */
export function addGlobalOptions(program: Command): void {
  program
    .option("--redis <url>", `Redis with topology and index (env RINGSHIFT_REDIS, else ${DEFAULT_REDIS})`)
    .option("--namespace <name>", "cluster in that Redis (env RINGSHIFT_NAMESPACE, else default)")
    .option(
      "--json",
      "one JSON document on stdout, alone; a failure is { error: { code, message, node?, key? } } there",
    );
  addAccessOptions(program);
}

/** @throws RingshiftError INVALID_OPTION */
export function globalsOf(command: Command): Globals {
  const flags = command.optsWithGlobals<AccessFlags & { redis?: string; namespace?: string; json?: boolean }>();
  const { redis, namespace, json } = flags;
  const { tls, auth } = accessOf(flags, process.env);
  return {
    tls,
    auth,
    redis: checkRedisUrl(redis ?? (process.env.RINGSHIFT_REDIS || DEFAULT_REDIS)),
    namespace: namespaceOf(namespace ?? (process.env.RINGSHIFT_NAMESPACE || undefined)).name,
    json: json ?? false,
  };
}

function checkRedisUrl(text: string): string {
  if (isRedisUrl(text)) return text;
  throw new RingshiftError("INVALID_OPTION", `--redis (or RINGSHIFT_REDIS) takes ${REDIS_URL_FORM}.`);
}

/** Addresses in their one spelling, port included, so that a server is not named twice. @throws RingshiftError NODE_ADDRESS */
export function nodesOf(addresses: readonly string[]): NewNode[] {
  return addresses.map((text) => ({ address: formatAddress(parseAddress(text)) }));
}

/** For commander: a number above 0. */
export function positive(text: string): number {
  const value = /^[+]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : 0;
  if (value > 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("A number above 0 is expected.");
}

/** For commander: an integer above 0. */
export function positiveInteger(text: string): number {
  const value = positive(text);
  if (Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("A whole number above 0 is expected.");
}

/** For commander: seconds between two looks, above 0. A timer takes no more than 24 days. */
export function interval(text: string): number {
  const value = positive(text);
  if (value <= MAX_INTERVAL_S) return value;
  throw new InvalidArgumentError(`At most ${MAX_INTERVAL_S} seconds, a day, are expected.`);
}

/** For commander: seconds, 0 or more. */
export function seconds(text: string): number {
  if (/^(\d+\.?\d*|\.\d+)$/.test(text)) return Number(text);
  throw new InvalidArgumentError("A number of seconds, 0 or more, is expected.");
}
