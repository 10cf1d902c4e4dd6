/** Addresses of Memcached servers: `host:port`, `host` (port 11211), `[::1]:11211`, `[::1]`, `unix:/path`. */
import { isIPv6 } from "node:net";
import { RingshiftError } from "../errors.ts";

export const DEFAULT_PORT = 11211;

export interface Address {
  /** A name or an IP address, IPv6 without its brackets. */
  readonly host: string;
  readonly port: number;
  /** Of a unix socket: host and port mean nothing then. */
  readonly path?: string;
}

const UNIX = "unix:";
/** What the kernel takes, its NUL left out. */
const MAX_PATH_BYTES = 107;
const BRACKETED = /^\[([^\]]*)\](?::(.*))?$/;
const NAMED = /^([A-Za-z0-9._-]+)(?::(.*))?$/;

/** @throws RingshiftError NODE_ADDRESS when it is malformed. */
export function parseAddress(text: string): Address {
  if (text.startsWith(UNIX)) return unixAddress(text);
  if (isIPv6(text)) throw malformed(text, `write an IPv6 address in brackets: [${text}]`);
  const bracketed = BRACKETED.exec(text);
  if (bracketed !== null && !isIPv6(bracketed[1] ?? ""))
    throw malformed(text, "no IPv6 address stands in the brackets");
  const match = bracketed ?? NAMED.exec(text);
  if (match === null) throw malformed(text, "expected host:port, host or [IPv6]:port");
  return { host: match[1] as string, port: parsePort(text, match[2]) };
}

/** The one spelling of an address, port included. */
export function formatAddress({ host, port, path }: Address): string {
  if (path !== undefined) return `${UNIX}${path}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function unixAddress(text: string): Address {
  const path = text.slice(UNIX.length);
  if (!path.startsWith("/") || path.includes("\0") || Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw malformed(text, `a unix socket is unix:/path, absolute and of at most ${MAX_PATH_BYTES} bytes`);
  }
  return { host: path, port: 0, path };
}

function parsePort(text: string, port: string | undefined): number {
  if (port === undefined) return DEFAULT_PORT;
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) throw malformed(text, "the port is a number from 1 to 65535");
  return number;
}

function malformed(text: string, why: string): RingshiftError {
  return new RingshiftError("NODE_ADDRESS", `not a server address: ${JSON.stringify(text)}; ${why}`);
}
