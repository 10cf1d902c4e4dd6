/**
 * ketama's servers file: one server per line, columns apart by blanks or tabs.
 *
 *     # name            weight   address (optional)
 *     10.0.1.1:11211    600
 *     memcached-1       1        10.0.1.2:11211
 *
 * Files of ketama's own (`host:port`, weight) read as they are. An address column lets a server move without its keys moving.
 */

import { RingshiftError } from "../errors.ts";
import { checkNodeName } from "./nodes.ts";

/** A line of a servers file. */
export interface ServersFileEntry {
  /** The name to hash, as written. */
  readonly name: string;
  readonly weight: number;
  /** `host:port`, with brackets around an IPv6 host. */
  readonly address: string;
}

const DEFAULT_PORT = 11211;
const WEIGHT = /^(\d+|\d*\.\d+)$/;
// A host without colons, or an IPv6 address in brackets; then perhaps a port.
const ADDRESS = /^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?$/;

/**
 * Reads a servers file. Without an address column the name is the address, on port 11211 unless it says another.
 *
 * @throws INVALID_OPTION that names the line, or for a file without servers
 */
export function parseServersFile(text: string): ServersFileEntry[] {
  const entries: ServersFileEntry[] = [];
  const lines = new Map<string, number>();
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const columns = line
      .replace(/#.*/, "")
      .split(/[ \t]+/)
      .filter(Boolean);
    if (columns.length === 0) continue;
    const entry = parseLine(columns, index + 1);
    const earlier = lines.get(entry.name);
    if (earlier !== undefined) throw invalid(index + 1, `"${entry.name}" stands on line ${earlier} already`);
    lines.set(entry.name, index + 1);
    entries.push(entry);
  }
  // An empty file is a truncated one more often than the wish for no servers.
  if (entries.length === 0) throw new RingshiftError("INVALID_OPTION", "servers file: no server in it");
  return entries;
}

function parseLine(columns: readonly string[], line: number): ServersFileEntry {
  const [name, weight, address = name] = columns;
  if (columns.length > 3) throw invalid(line, `${columns.length} columns; expected: name weight [address]`);
  if (name === undefined || weight === undefined) throw invalid(line, "no weight; expected: name weight [address]");
  try {
    checkNodeName(name);
  } catch (error) {
    throw invalid(line, error instanceof Error ? error.message : String(error));
  }
  if (!WEIGHT.test(weight) || !(Number(weight) > 0)) throw invalid(line, `weight "${weight}" is not a number above 0`);
  return { name, weight: Number(weight), address: parseAddress(address!, line) };
}

function parseAddress(text: string, line: number): string {
  const match = ADDRESS.exec(text);
  const port = Number(match?.[2] ?? DEFAULT_PORT);
  if (match === null || port < 1 || port > 65535) {
    throw invalid(line, `"${text}" is no address; expected host, host:port or [IPv6]:port (third column)`);
  }
  return `${match[1]}:${port}`;
}

function invalid(line: number, message: string): RingshiftError {
  return new RingshiftError("INVALID_OPTION", `servers file, line ${line}: ${message}`);
}
