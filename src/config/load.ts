/**
 * Settings from their sources, each value with where it came from:
 *
 *   defaults  <  ringshift.yaml  <  environment RINGSHIFT_*  <  flags
 *
 * Values are merged leaf by leaf, then checked as a whole. A list (`nodes`, `spares`) is one value. Nothing is half taken: either all
 * settings are good, or an error says which is not, where it stands, and what it may be.
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import type { core } from "zod";
import { invalidOption, isRingshiftError, type RingshiftError } from "../errors.ts";
import type { ServerAccess } from "../memcached/access.ts";
import { parseServersFile, Ring } from "../ring/index.ts";
import { nearest } from "../suggest.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { accessOf, type Resolve } from "./access.ts";
import { LEAVES, type Leaf, type NodeSetting, type Settings, settingsSchema } from "./schema.ts";

export const DEFAULT_FILE = "ringshift.yaml";

/** Where a value came from: `default`, `ringshift.yaml:3`, `RINGSHIFT_REDIS`, `--redis`. */
export type Origin = string;

export interface Sources {
  /** The file; undefined: `ringshift.yaml` here, where there is one. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By path, as `data.port`. Values are text or numbers. */
  readonly flags?: Readonly<Record<string, unknown>> | undefined;
}

export interface Loaded {
  readonly settings: Settings;
  /** The servers that `nodes` or `serversFile` names; undefined: the configuration does not say. */
  readonly nodes: readonly NodeSetting[] | undefined;
  /** By path, for every setting. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** How the servers are reached. */
  readonly access: ServerAccess;
  /** The configuration's file as it was named, and as its origins begin; undefined: there is none. */
  readonly file: string | undefined;
  /** The files that are watched, as absolute paths: the configuration's, then the servers file. */
  readonly files: readonly string[];
}

interface Given {
  readonly value: unknown;
  readonly origin: Origin;
}

/** @throws RingshiftError INVALID_OPTION that names the value, its origin and what it may be */
export async function loadSettings(sources: Sources): Promise<Loaded> {
  const file = sources.file ?? DEFAULT_FILE;
  const text = await readText(file, sources.file !== undefined);
  const given = new Map<string, Given>();
  if (text !== undefined) fromFile(file, text, given);
  for (const leaf of LEAVES) {
    const value = sources.env[leaf.variable];
    if (value !== undefined && value !== "")
      given.set(leaf.path, { value: fromText(leaf, value), origin: leaf.variable });
  }
  for (const [path, value] of Object.entries(sources.flags ?? {})) {
    if (value !== undefined) given.set(path, { value: fromFlag(path, value), origin: flagOf(path) });
  }
  const settings = check(given);
  const origins = new Map(LEAVES.map(({ path }) => [path, given.get(path)?.origin ?? "default"]));
  const files = text === undefined ? [] : [resolve(file)];
  /** A file that the configuration names lies beside it; one that a variable or flag names is looked up from here. */
  const beside = (path: string, name: string) =>
    resolve(origins.get(path)?.startsWith(`${file}:`) ? dirname(file) : ".", name);
  const nodes = await nodesOf(settings, beside, files, origins);
  const access = await accessOf(settings, beside);
  return { settings, nodes, origins, access, file: text === undefined ? undefined : file, files };
}

const NODE_KEYS = ["address", "name", "weight", "vnodes"];

/** The settings with flags of their own. */
const OWN_FLAGS: Readonly<Record<string, string>> = {
  redis: "--redis",
  namespace: "--namespace",
  "data.host": "--data-host",
  "data.port": "--data-port",
  "admin.host": "--admin-host",
  "admin.port": "--admin-port",
  "observer.policy": "--observer-policy",
  "tls.on": "--tls",
  "tls.ca": "--tls-ca",
  "tls.cert": "--tls-cert",
  "tls.key": "--tls-key",
  "tls.servername": "--tls-servername",
  "auth.username": "--username",
  "auth.file": "--auth-file",
};

/** The flag that a setting is given by. */
function flagOf(path: string): string {
  return OWN_FLAGS[path] ?? `--set ${path}`;
}

async function readText(file: string, required: boolean): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if (!required && (cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw invalidOption(`${file} cannot be read: ${(cause as Error).message}`);
  }
}

/** Puts the file's leaves into `given`. @throws RingshiftError for bad YAML and unknown keys */
function fromFile(file: string, text: string, given: Map<string, Given>): void {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const lineOf = (offset: number) => counter.linePos(offset).line;
  const [error] = document.errors;
  if (error !== undefined) {
    const what = error.code === "MULTIPLE_DOCS" ? "the file is one document, without a second ---" : error.message;
    throw invalidOption(`${file}:${lineOf(error.pos[0])}: ${what}`);
  }
  const visit = (node: Node | null, prefix: string) => {
    if (node === null || (isScalar(node) && node.value === null)) return; // an empty file, an empty section
    if (!isMap(node))
      throw invalidOption(`${file}:${lineOf(node.range?.[0] ?? 0)}: ${prefix || "the file"} is a map of settings`);
    for (const { key, value } of node.items) {
      const name = String(isScalar(key) ? key.value : key);
      const path = prefix === "" ? name : `${prefix}.${name}`;
      const line = lineOf((isScalar(key) ? key.range?.[0] : undefined) ?? 0);
      const leaf = LEAVES.find((one) => one.path === path);
      if (leaf === undefined && !LEAVES.some((one) => one.path.startsWith(`${path}.`)))
        throw unknown(`${file}:${line}`, prefix, name);
      if (leaf === undefined) visit(value as Node | null, path);
      else if (value !== null) {
        const origin = `${file}:${line}`;
        const said = plain(value as Node, document, origin);
        given.set(path, { value: leaf.kind === "list" ? (said ?? []) : said, origin }); // `spares:` alone is a list of none
      }
    }
  };
  visit(document.contents as Node | null, "");
}

/** @throws RingshiftError for an alias without its anchor, and for aliases of aliases that would fill the memory */
function plain(node: Node, document: Document, origin: Origin): unknown {
  try {
    return node.toJS(document);
  } catch (error) {
    throw invalidOption(`${origin}: ${(error as Error).message}`);
  }
}

function unknown(where: string, prefix: string, name: string): RingshiftError {
  const inside = prefix === "" ? "" : `${prefix}.`;
  const known = [
    ...new Set(
      LEAVES.filter(({ path }) => path.startsWith(inside)).map(({ path }) => path.slice(inside.length).split(".")[0]!),
    ),
  ];
  const near = nearest(name, known);
  const hint = near === undefined ? `there are ${known.join(", ")}` : `did you mean ${near}?`;
  return invalidOption(`${where}: unknown setting ${inside}${name}; ${hint}`);
}

function fromText({ kind }: Leaf, text: string): unknown {
  if (kind === "list") return text.split(",").map((part) => part.trim());
  if (kind === "boolean" && /^(?:1|yes|true|on)$/i.test(text.trim())) return true;
  if (kind === "boolean" && /^(?:0|no|false|off)$/i.test(text.trim())) return false;
  if (kind === "number" && /^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(text.trim())) return Number(text);
  return text;
}

function fromFlag(path: string, value: unknown): unknown {
  const leaf = LEAVES.find((one) => one.path === path);
  if (leaf === undefined) {
    const near = nearest(
      path,
      LEAVES.map((one) => one.path),
    );
    throw invalidOption(
      `--set: unknown setting ${path}; ${near === undefined ? "see ringshift config show" : `did you mean ${near}?`}`,
    );
  }
  if (path === "auth.password") {
    throw invalidOption(
      "A password on the command line can be read by every user: give RINGSHIFT_PASSWORD, or auth.file instead.",
    );
  }
  return typeof value === "string" ? fromText(leaf, value) : value;
}

function check(given: ReadonlyMap<string, Given>): Settings {
  const tree: Record<string, unknown> = {};
  for (const [path, { value }] of given) {
    const [section, name] = path.split(".") as [string, string | undefined];
    if (name === undefined) tree[section] = value;
    else tree[section] = { ...(tree[section] as object | undefined), [name]: value };
  }
  const parsed = settingsSchema.safeParse(tree);
  if (!parsed.success) throw describe(parsed.error.issues[0]!, given);
  const settings = parsed.data;
  const originOf = (path: string) => given.get(path)?.origin ?? "default";
  placed(originOf("namespace"), () => namespaceOf(settings.namespace));
  const { minNodes, maxNodes } = settings.observer;
  if (minNodes > maxNodes) {
    const [low, high] = ["observer.minNodes", "observer.maxNodes"].map((path) => `${path} (${originOf(path)})`);
    throw invalidOption(`${low} ${minNodes} is above ${high} ${maxNodes}`);
  }
  return settings;
}

/** What the check answers; its complaint begins with the place, which it does not know. */
function placed<T>(where: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw isRingshiftError(error) ? invalidOption(`${where}: ${error.message}`) : error;
  }
}

/** The schema's complaint in words, with the origin of the value. */
function describe(issue: core.$ZodIssue, given: ReadonlyMap<string, Given>): RingshiftError {
  const path = issue.path.map(String);
  const leaf = LEAVES.find((one) => path.join(".") === one.path || path.join(".").startsWith(`${one.path}.`));
  const origin = leaf && given.get(leaf.path)?.origin;
  // a node is an address or an object with one: of the two complaints the one about an unknown key helps most, then the deepest
  const inner = issue.code === "invalid_union" ? issue.errors.flat().sort((a, b) => rank(b) - rank(a))[0] : undefined;
  const deepest = inner ?? issue;
  const at = [...path, ...(inner?.path.map(String) ?? [])].join(".");
  const what = deepest.code === "unrecognized_keys" ? `unknown key ${deepest.keys[0]}` : deepest.message;
  const hint = suggestion(deepest, leaf && given.get(leaf.path)?.value);
  return invalidOption(`${origin === undefined ? "" : `${origin}: `}${at}: ${what}${hint}`);
}

function suggestion(issue: core.$ZodIssue, value: unknown): string {
  let near: string | undefined;
  if (issue.code === "unrecognized_keys") near = nearest(issue.keys[0]!, NODE_KEYS);
  else if (issue.code === "invalid_value" && typeof value === "string") near = nearest(value, issue.values.map(String));
  return near === undefined ? "" : `; did you mean ${near}?`;
}

function rank(issue: core.$ZodIssue): number {
  return issue.code === "unrecognized_keys" ? Number.POSITIVE_INFINITY : issue.path.length;
}

async function nodesOf(settings: Settings, beside: Resolve, files: string[], origins: ReadonlyMap<string, Origin>) {
  const { nodes, serversFile, spares } = settings;
  if (nodes !== undefined && serversFile !== undefined) {
    throw invalidOption(
      `nodes (${origins.get("nodes")}) and serversFile (${origins.get("serversFile")}): give one of the two`,
    );
  }
  const named =
    nodes ?? (serversFile === undefined ? undefined : await fromServersFile(beside("serversFile", serversFile), files));
  const all = [...(named ?? []), ...spares].map(({ address, name = address, weight, vnodes }) => ({
    name,
    weight,
    vnodes,
  }));
  const given = ["nodes", "serversFile", "spares"].filter((path) => origins.get(path) !== "default");
  const where = given.map((path) => `${path} (${origins.get(path)})`).join(" and ");
  if (all.length > 0) placed(where, () => new Ring(all)); // bad names, weights and doubles
  return named;
}

async function fromServersFile(file: string, files: string[]): Promise<NodeSetting[]> {
  const text = (await readText(file, true))!;
  files.push(file);
  return placed(file, () => parseServersFile(text)).map(({ name, address, weight }) => ({ name, address, weight }));
}
