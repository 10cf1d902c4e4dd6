/**
 * Servers behind a DNS name: each address is a server of its own (a headless service of Kubernetes, Consul, a record kept by hand). A name
 * that begins with an underscore is asked for SRV records, which carry ports.
 */
import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import { RingshiftError } from "../errors.ts";
import { formatAddress, parseAddress } from "../memcached/address.ts";
import type { NewNode } from "../migration/change.ts";

/** For one question, and how often it is asked. */
const QUESTION_MS = 2_000;
const TRIES = 2;
/** What a name that has no record of one kind is answered: another kind may be there. */
const NO_RECORD: ReadonlySet<string> = new Set(["ENODATA", "ENOTFOUND"]);

/**
 * @param where `host`, `host:port` (11211 unless given)
 * @param servers DNS servers to ask; by default whatever the system asks, its hosts file included
 * @throws RingshiftError NODE_ADDRESS when the name cannot be resolved, or is no name
 */
export async function findByDns(where: string, servers?: readonly string[]): Promise<NewNode[]> {
  const { host, port, path } = parseAddress(where);
  if (path !== undefined || isIP(host) !== 0) throw failed(where, "it is an address: name the server itself");
  const found = host.startsWith("_") ? await services(host, servers) : await addresses(host, port, servers);
  if (found.length === 0) throw failed(where, "no address is behind it");
  return [...new Set(found)].sort().map((address) => ({ address }));
}

async function addresses(host: string, port: number, servers: readonly string[] | undefined): Promise<string[]> {
  const found = servers === undefined ? await bySystem(host) : await byRecords(host, servers);
  return found.map((address) => formatAddress({ host: address, port }));
}

async function bySystem(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw failed(host, (cause as Error).message, cause);
  }
}

async function byRecords(host: string, servers: readonly string[]): Promise<string[]> {
  const resolver = resolverOf(servers);
  const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const found: string[] = [];
  for (const answer of answers) {
    if (answer.status === "fulfilled") found.push(...answer.value);
    // half an answer would be taken for servers that have gone
    else if (!NO_RECORD.has((answer.reason as { code?: string }).code ?? "")) {
      throw failed(host, (answer.reason as Error).message, answer.reason);
    }
  }
  return found;
}

async function services(name: string, servers: readonly string[] | undefined): Promise<string[]> {
  try {
    const records = await resolverOf(servers).resolveSrv(name);
    return records.map(({ name: host, port }) => formatAddress({ host, port }));
  } catch (cause) {
    throw failed(name, (cause as Error).message, cause);
  }
}

function resolverOf(servers: readonly string[] | undefined): Resolver {
  const resolver = new Resolver({ timeout: QUESTION_MS, tries: TRIES });
  if (servers === undefined) return resolver;
  try {
    resolver.setServers([...servers]);
  } catch (cause) {
    throw new RingshiftError("INVALID_OPTION", `dnsServers: ${(cause as Error).message}`, { cause });
  }
  return resolver;
}

function failed(name: string, why: string, cause?: unknown): RingshiftError {
  return new RingshiftError("NODE_ADDRESS", `The servers behind ${name} are not known: ${why}.`, { cause });
}
