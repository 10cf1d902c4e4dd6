/** How a server is reached: plain or TLS, TCP or a unix socket, and who we are to it. */
import { connect, isIP, type OnReadOpts, Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, createSecureContext } from "node:tls";
import { invalidOption, RingshiftError } from "../errors.ts";
import type { Address } from "./address.ts";
import type { Command } from "./exchange.ts";

/** Of the text protocol's authentication (memcached -Y). */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

export interface ServerAccess {
  /** TLS (memcached -Z): `true`, or what `tls.connect` takes: `ca`, `cert`, `key`, `servername`, `rejectUnauthorized`. */
  readonly tls?: boolean | ConnectionOptions | undefined;
  readonly auth?: Credentials | undefined;
}

/** Bytes read at a time by whoever gives `onBytes`. */
const READ_BYTES = 64 * 1024;

/**
 * Begins to connect; `onReady` is called when the socket carries bytes, its TLS handshake included. With `onBytes` what arrives goes there, in
 * one buffer that is used again and again, and there are no `data` events: no 64 KiB to allocate and no turn through the stream at each read.
 * Throws nothing: what fails is the socket's `error`, after this call.
 */
export function openSocket(
  address: Address,
  access: ServerAccess,
  onReady?: () => void,
  onBytes?: (length: number, buffer: Buffer) => void,
): Socket {
  try {
    return open(address, access, onReady, onBytes);
  } catch (cause) {
    // tls.connect throws for some of its options, which nothing but it checks
    return new Socket().destroy(cause instanceof Error ? cause : new Error(String(cause)));
  }
}

function open(
  { host, port, path }: Address,
  { tls }: ServerAccess,
  onReady?: () => void,
  onBytes?: (length: number, buffer: Buffer) => void,
): Socket {
  const target = { ...(path === undefined ? { host, port } : { path }), ...(onBytes && { onread: reader(onBytes) }) };
  if (tls === undefined || tls === false) {
    const socket = connect({ ...target, noDelay: true });
    if (onReady !== undefined) socket.once("connect", onReady);
    return socket;
  }
  const named = path === undefined && isIP(host) === 0 ? { servername: host } : {};
  const socket = connectTls({ ...target, ...named, ...(tls === true ? {} : tls) });
  socket.setNoDelay(true);
  if (onReady !== undefined) socket.once("secureConnect", onReady);
  return socket;
}

function reader(onBytes: (length: number, buffer: Buffer) => void): OnReadOpts {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const callback = (length: number): boolean => {
    onBytes(length, buffer);
    return true;
  };
  return { buffer, callback };
}

/** The first command on a connection to a server that wants to know who we are; it answers STORED. */
export function authCommand({ username, password }: Credentials): Command {
  const data = Buffer.from(`${username} ${password}`, "utf8");
  return { line: `set auth 0 0 ${data.length}`, data };
}

/** @throws RingshiftError INVALID_OPTION */
export function checkAccess({ tls, auth }: ServerAccess): void {
  if (tls !== undefined && typeof tls !== "boolean" && (typeof tls !== "object" || tls === null)) {
    throw invalidOption("tls is true, or an object of options for tls.connect.");
  }
  if (typeof tls === "object") checkSecureContext(tls);
  if (auth === undefined) return;
  const { username, password } = auth ?? {};
  if (typeof username !== "string" || typeof password !== "string" || username === "" || /\s/.test(username)) {
    throw invalidOption("auth is { username, password }, both text, the username without blanks.");
  }
}

/** Certificates, keys, ciphers and versions that TLS itself refuses. @throws RingshiftError INVALID_OPTION */
function checkSecureContext(tls: ConnectionOptions): void {
  try {
    createSecureContext(tls);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new RingshiftError("INVALID_OPTION", `tls cannot be used: ${why}`, { cause });
  }
}
