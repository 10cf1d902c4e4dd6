/**
 * Where the servers of a cluster are named, outside of ringshift. What a source says is a proposal: nothing here changes a cluster.
 *
 *   file:PATH               a servers file of ketama's (`name weight [address]` a line)
 *   dns:HOST[:PORT]         every address behind the name is a server; `dns:_service._tcp.HOST` asks for SRV records
 *   elasticache:HOST[:PORT] the configuration endpoint of AWS ElastiCache, or of Google Memorystore (`config get cluster`)
 */
import { readFile } from "node:fs/promises";
import { RingshiftError, shown } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import type { NewNode } from "../migration/change.ts";
import { parseServersFile } from "../ring/index.ts";
import { findByDns } from "./dns.ts";
import { findByElastiCache } from "./elasticache.ts";

export interface DiscoverySource {
  /** As it was given: `dns:cache.example:11211`. */
  readonly text: string;
  /** The servers named now, at least one. @throws RingshiftError; never an empty list: that is a source at fault, not a cluster without servers */
  find(): Promise<readonly NewNode[]>;
}

export interface SourceOptions {
  /** DNS servers to ask instead of the system's, as `127.0.0.1:8600`. */
  readonly dnsServers?: readonly string[] | undefined;
  /** How servers are reached, the configuration endpoint among them. */
  readonly access?: ServerAccess | undefined;
}

const FORMS = "file:PATH, dns:HOST[:PORT] or elasticache:HOST[:PORT]";

/** @throws RingshiftError INVALID_OPTION */
export function sourceOf(text: string, options: SourceOptions = {}): DiscoverySource {
  const match = typeof text === "string" ? /^(file|dns|elasticache):(.+)$/s.exec(text) : null;
  if (match === null) throw invalid(`A source of servers is ${FORMS}, not ${shown(text)}.`);
  const [, kind, rest] = match as unknown as [string, "file" | "dns" | "elasticache", string];
  const finders = {
    file: () => findInFile(rest),
    dns: () => findByDns(rest, options.dnsServers),
    elasticache: () => findByElastiCache(rest, options.access),
  } as const;
  return { text, find: finders[kind] };
}

async function findInFile(path: string): Promise<NewNode[]> {
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw invalid(`The servers file ${path} cannot be read: ${cause.message}`, cause);
  });
  return parseServersFile(text).map(({ name, address, weight }) => ({ name, address, weight }));
}

function invalid(message: string, cause?: unknown): RingshiftError {
  return new RingshiftError("INVALID_OPTION", message, { cause });
}
