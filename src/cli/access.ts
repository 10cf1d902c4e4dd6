/**
 * How the servers are reached, from flags and environment: TLS, and who we are. A password is never a flag, which every user of the machine
 * could read in the list of processes: it comes from a file or from the environment.
 */
import { readFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { invalidOption, RingshiftError } from "../errors.ts";
import { type Credentials, checkAccess, type ServerAccess } from "../memcached/access.ts";

export interface AccessFlags {
  readonly tls?: boolean;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsServername?: string;
  readonly username?: string;
  readonly authFile?: string;
}

/** The variable of each flag. */
const VARIABLES = {
  tls: "RINGSHIFT_TLS",
  tlsCa: "RINGSHIFT_TLS_CA",
  tlsCert: "RINGSHIFT_TLS_CERT",
  tlsKey: "RINGSHIFT_TLS_KEY",
  tlsServername: "RINGSHIFT_TLS_SERVERNAME",
  username: "RINGSHIFT_USERNAME",
  authFile: "RINGSHIFT_AUTH_FILE",
} as const satisfies Record<keyof AccessFlags, string>;
const PASSWORD = "RINGSHIFT_PASSWORD";

type Environment = Readonly<Record<string, string | undefined>>;

export function addAccessOptions(program: Command): void {
  const env = (flag: keyof AccessFlags) => `(env ${VARIABLES[flag]})`;
  program
    .option("--tls", `TLS to the servers ${env("tls")}`)
    .option("--tls-ca <file>", `certificates that theirs has to be signed by, PEM ${env("tlsCa")}`)
    .option("--tls-cert <file>", `our own certificate, PEM; with --tls-key ${env("tlsCert")}`)
    .option("--tls-key <file>", `its key, PEM ${env("tlsKey")}`)
    .option("--tls-servername <name>", `name that their certificates have to show ${env("tlsServername")}`)
    .option("--username <name>", `who we are to servers that ask; the password is ${PASSWORD} ${env("username")}`)
    .option("--auth-file <file>", `one line, username:password ${env("authFile")}`)
    .addOption(new Option("--password <text>").hideHelp()); // refused, with what to do instead
}

/** @throws RingshiftError INVALID_OPTION */
export function accessOf(flags: AccessFlags & { readonly password?: string }, env: Environment): ServerAccess {
  if (flags.password !== undefined) {
    throw invalidOption(
      `A password on the command line can be read by every user: give ${PASSWORD}, or --auth-file FILE.`,
    );
  }
  const access = { tls: tlsOf(flags, env), auth: credentialsOf(flags, env) };
  checkAccess(access);
  return access;
}

function tlsOf(flags: AccessFlags, env: Environment): ServerAccess["tls"] {
  const of = (flag: Exclude<keyof AccessFlags, "tls">) => flags[flag] ?? (env[VARIABLES[flag]] || undefined);
  const pem = (flag: "tlsCa" | "tlsCert" | "tlsKey") => {
    const file = of(flag);
    return file === undefined ? undefined : read(flag, file);
  };
  const given = {
    ca: pem("tlsCa"),
    cert: pem("tlsCert"),
    key: pem("tlsKey"),
    servername: of("tlsServername"),
  };
  if ((given.cert === undefined) !== (given.key === undefined)) {
    throw invalidOption("--tls-cert and --tls-key go together.");
  }
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (Object.keys(set).length > 0) return set;
  return (flags.tls ?? isOn(env[VARIABLES.tls])) ? true : undefined;
}

function credentialsOf(flags: AccessFlags, env: Environment): Credentials | undefined {
  const password = env[PASSWORD] || undefined;
  const file = flags.authFile ?? (flags.username === undefined ? env[VARIABLES.authFile] || undefined : undefined);
  const username = flags.username ?? (flags.authFile === undefined ? env[VARIABLES.username] || undefined : undefined);
  if (file !== undefined && username !== undefined) {
    throw invalidOption("Give --username with RINGSHIFT_PASSWORD, or --auth-file: one of the two.");
  }
  if (file !== undefined) return fromFile(file);
  if (username === undefined) return undefined;
  if (password === undefined)
    throw invalidOption(`--username needs a password: ${PASSWORD}, or --auth-file FILE instead.`);
  return { username, password };
}

/** As memcached's own file for -Y has it; the first line counts. */
function fromFile(file: string): Credentials {
  const [line = ""] = read("authFile", file).split(/\r?\n/);
  const colon = line.indexOf(":");
  if (colon < 1) throw invalidOption(`--auth-file ${file}: its first line is to be username:password.`);
  return { username: line.slice(0, colon), password: line.slice(colon + 1) };
}

function read(flag: keyof AccessFlags, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const name = flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new RingshiftError("INVALID_OPTION", `--${name} ${file} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function isOn(text: string | undefined): boolean {
  if (text === undefined || /^(|0|no|false|off)$/i.test(text)) return false;
  if (/^(1|yes|true|on)$/i.test(text)) return true;
  throw invalidOption(`${VARIABLES.tls} is 1 or 0, not ${text}.`);
}
