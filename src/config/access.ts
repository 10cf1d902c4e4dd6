/** How the gateway reaches the servers, from the settings `tls` and `auth`: certificates and users are read from their files. */
import { readFile } from "node:fs/promises";
import { invalidOption } from "../errors.ts";
import { checkAccess, type ServerAccess } from "../memcached/access.ts";
import type { Settings } from "./schema.ts";

/** Where a setting's file lies: relative to the file that names it. */
export type Resolve = (path: string, file: string) => string;

/** @throws RingshiftError INVALID_OPTION for a file that cannot be read, and for halves of what goes together */
export async function accessOf({ tls, auth }: Settings, resolve: Resolve): Promise<ServerAccess> {
  const access = { tls: await tlsOf(tls, resolve), auth: await credentialsOf(auth, resolve) };
  checkAccess(access);
  return access;
}

async function tlsOf({ on, ...given }: Settings["tls"], resolve: Resolve): Promise<ServerAccess["tls"]> {
  if ((given.cert === undefined) !== (given.key === undefined))
    throw invalidOption("tls.cert and tls.key go together.");
  if (on === false) return undefined;
  const read = async (name: "ca" | "cert" | "key") => {
    const file = given[name];
    return file === undefined ? {} : { [name]: await readText(`tls.${name}`, resolve(`tls.${name}`, file)) };
  };
  const parts = await Promise.all((["ca", "cert", "key"] as const).map(read));
  const { servername } = given;
  const options = Object.assign({}, ...parts, servername === undefined ? {} : { servername }) as object;
  return Object.keys(options).length > 0 ? options : on;
}

async function credentialsOf(
  { username, password, file }: Settings["auth"],
  resolve: Resolve,
): Promise<ServerAccess["auth"]> {
  if (file !== undefined && username !== undefined)
    throw invalidOption("auth.file and auth.username: give one of the two.");
  if (file !== undefined) {
    // as memcached's own file for -Y has it; the first line counts
    const [line = ""] = (await readText("auth.file", resolve("auth.file", file))).split(/\r?\n/);
    const colon = line.indexOf(":");
    if (colon < 1) throw invalidOption(`auth.file ${file}: its first line is to be username:password.`);
    return { username: line.slice(0, colon), password: line.slice(colon + 1) };
  }
  if (username === undefined) return undefined;
  if (password === undefined)
    throw invalidOption("auth.username needs a password: RINGSHIFT_PASSWORD, or auth.file instead.");
  return { username, password };
}

async function readText(setting: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw invalidOption(`${setting}: ${file} cannot be read: ${(cause as Error).message}`);
  }
}
