/** Questions to one server over a short connection of their own. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { type LineOptions, LineSession } from "./line-session.ts";
import { speaksBinary } from "./speaks-binary.ts";

export { type MetadumpOptions, metadump } from "./metadump.ts";

/** Words in the version text of the known proxies. */
const PROXY_VERSION = /mcrouter|twemproxy|nutcracker|dynomite|envoy|proxy/i;

/** The version text after `VERSION `. @throws RingshiftError */
export function version(address: string, options?: LineOptions): Promise<string> {
  return withSession(address, options, askVersion);
}

/**
 * `stats`, or `stats <what>`, by name.
 * @throws RingshiftError PROTOCOL_ERROR where the server does not answer with statistics
 */
export function stats(address: string, what = "", options?: LineOptions): Promise<Map<string, string>> {
  return withSession(address, options, (session) => askStats(session, what));
}

/** Removes every item of the server. @throws RingshiftError SERVER_ERROR where it forbids that (-F) */
export function flushAll(address: string, options?: LineOptions): Promise<void> {
  return withSession(address, options, async (session) => {
    const [answer = ""] = await session.ask("flush_all", () => true);
    if (answer !== "OK") throw session.error("SERVER_ERROR", `flush_all was answered: ${answer}`);
  });
}

/** What a server turned out to be. What it did not tell is undefined. */
export interface ServerProbe {
  readonly version: string;
  /** It answers `mn`. */
  readonly meta: boolean;
  /** Its answers are those of a proxy (mcrouter, twemproxy, memcached's own), behind which there is more than one server. */
  readonly looksLikeProxy: boolean;
  /** False under -C. */
  readonly casEnabled: boolean | undefined;
  /** -I, in bytes; an item is its key, value and header. */
  readonly itemSizeMax: number | undefined;
  /** False under -M: a full server refuses instead of evicting. */
  readonly evictions: boolean | undefined;
  /** -m, in bytes. */
  readonly maxBytes: number | undefined;
  readonly currItems: number | undefined;
  readonly pid: number | undefined;
}

/**
 * @throws RingshiftError NODE_DOWN, TIMEOUT, PROTOCOL_ERROR where there is no memcached of any kind, META_REQUIRED where one speaks the binary
 * protocol alone
 */
export async function probeServer(address: string, options?: LineOptions): Promise<ServerProbe> {
  const text = await version(address, options).catch(async (error: unknown) => {
    throw (await speaksBinary(address, options)) ? binaryOnly(address, error) : error;
  });
  // A proxy may close the connection on what it does not know, so each question has its own.
  const [noop] = await unlessRefused(
    () => withSession(address, options, (session) => session.ask("mn", () => true)),
    [""],
  );
  const general = await unlessRefused(() => stats(address, "", options), new Map<string, string>());
  const settings = await unlessRefused(() => stats(address, "settings", options), new Map<string, string>());
  const hasOwnSettings = general.has("pid") && settings.has("item_size_max");
  return {
    version: text,
    meta: noop === "MN",
    looksLikeProxy: PROXY_VERSION.test(text) || !hasOwnSettings || settings.get("proxy_enabled") === "yes",
    casEnabled: yesNo(settings.get("cas_enabled"), "yes"),
    itemSizeMax: numberOf(settings.get("item_size_max")),
    evictions: yesNo(settings.get("evictions"), "on"),
    maxBytes: numberOf(settings.get("maxbytes") ?? general.get("limit_maxbytes")),
    currItems: numberOf(general.get("curr_items")),
    pid: numberOf(general.get("pid")),
  };
}

function binaryOnly(address: string, cause: unknown): RingshiftError {
  return new RingshiftError(
    "META_REQUIRED",
    `${address} speaks the binary protocol alone (SASL): it cannot be part of a cluster that changes; a client without Redis can use it.`,
    { node: address, cause },
  );
}

async function askVersion(session: LineSession): Promise<string> {
  const [answer = ""] = await session.ask("version", () => true);
  if (!answer.startsWith("VERSION "))
    throw session.error("PROTOCOL_ERROR", `version was answered: ${answer.slice(0, 100)}`);
  return answer.slice("VERSION ".length);
}

/** `stats detail on` is answered OK alone, `stats reset` RESET; what `stats sizes_enable` and `sizes_disable` answer has no end. */
const LAST_LINE = /^(?:END|OK|RESET|STAT sizes_(?:status (?:en|dis)abled|error .*))$/;
/** `stats detail dump` has lines of its own. */
const STAT_LINE = /^(?:STAT|PREFIX) (\S+) ?(.*)$/;

async function askStats(session: LineSession, what: string): Promise<Map<string, string>> {
  if (!/^[a-z_ ]*$/.test(what))
    throw session.error("INVALID_OPTION", `not a kind of statistics: ${JSON.stringify(what)}`);
  const found = new Map<string, string>();
  const lines = await session.ask(what === "" ? "stats" : `stats ${what}`, (line) => LAST_LINE.test(line));
  const last = lines.at(-1) ?? "";
  if (!LAST_LINE.test(last)) throw session.error("PROTOCOL_ERROR", `stats ${what} was answered: ${last.slice(0, 100)}`);
  for (const line of lines) {
    const match = STAT_LINE.exec(line);
    if (match !== null) found.set(match[1] as string, match[2] as string);
  }
  return found;
}

/** `otherwise`, where the server answers an error or hangs up on the question: that it does not know it is an answer too. */
async function unlessRefused<T>(question: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await question();
  } catch (error) {
    if (isRingshiftError(error, "PROTOCOL_ERROR") || isRingshiftError(error, "NODE_DOWN")) return otherwise;
    throw error;
  }
}

async function withSession<T>(
  address: string,
  options: LineOptions | undefined,
  work: (session: LineSession) => Promise<T>,
): Promise<T> {
  const session = new LineSession(address, options);
  try {
    return await work(session);
  } finally {
    session.close();
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function yesNo(text: string | undefined, yes: string): boolean | undefined {
  return text === undefined ? undefined : text === yes;
}
