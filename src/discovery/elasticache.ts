/**
 * The servers that a configuration endpoint names (AWS ElastiCache for Memcached, Google Memorystore):
 *
 *     > config get cluster
 *     < CONFIG cluster 0 63
 *     < 12                                              grows with each change
 *     < node-1.example|10.0.0.1|11211 node-2.example|10.0.0.2|11211
 *     <
 *     < END
 *
 * A server is named by its host, which stays when the machine behind it is replaced; by its address where it has no host.
 * Source: "Adding auto discovery to your client library", the ElastiCache for Memcached manual.
 */
import { RingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { formatAddress, parseAddress } from "../memcached/address.ts";
import { isErrorLine, LineSession } from "../memcached/line-session.ts";
import type { NewNode } from "../migration/change.ts";

const HEAD = /^CONFIG cluster \d+ \d+$/;

/** @throws RingshiftError NODE_DOWN, TIMEOUT, AUTH_FAILED, PROTOCOL_ERROR when it is no such endpoint, NODE_ADDRESS */
export async function findByElastiCache(endpoint: string, access?: ServerAccess): Promise<NewNode[]> {
  const session = new LineSession(endpoint, { access });
  try {
    const [head = "", version = "", servers = ""] = await session.ask("config get cluster", (line) => line === "END");
    if (!HEAD.test(head) || !/^\d+$/.test(version)) {
      const answer = isErrorLine(head) ? head : JSON.stringify(head.slice(0, 60));
      throw session.error(
        "PROTOCOL_ERROR",
        `config get cluster was answered ${answer}: is it a configuration endpoint?`,
      );
    }
    return parseServers(servers);
  } finally {
    session.close();
  }
}

/** The line with the servers. @throws RingshiftError PROTOCOL_ERROR, NODE_ADDRESS */
export function parseServers(line: string): NewNode[] {
  const words = line.split(" ").filter((word) => word !== "");
  if (words.length === 0) throw new RingshiftError("PROTOCOL_ERROR", "The configuration endpoint names no server.");
  return words.map((word) => {
    const parts = word.split("|");
    const [host, address, port] = parts as [string, string, string];
    if (parts.length !== 3 || (host === "" && address === "") || !/^\d+$/.test(port)) {
      throw new RingshiftError("PROTOCOL_ERROR", `The configuration endpoint names ${JSON.stringify(word)}.`);
    }
    const name = host === "" ? address : host;
    const text = name.includes(":") ? `[${name}]:${port}` : `${name}:${port}`;
    return { address: formatAddress(parseAddress(text)) };
  });
}
