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
import { isMap, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import type { core } from "zod";
import { isRingshiftError, RingshiftError } from "../errors.ts";
import { parseServersFile, Ring } from "../ring/index.ts";
import { namespaceOf } from "../topology/namespace.ts";
import { LEAVES, type Leaf, type NodeSetting, type Settings, settingsSchema } from "./schema.ts";
import { nearest } from "./suggest.ts";

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
  /** The files that were read: the configuration's, then the servers file. */
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
  const nodes = await nodesOf(settings, text === undefined ? "." : dirname(file), files, origins);
  return { settings, nodes, origins, files };
}

const OWN_FLAGS = ["redis", "namespace", "data.host", "data.port", "admin.host", "admin.port", "observer.policy"];

/** The flag that a setting is given by. */
function flagOf(path: string): string {
  return OWN_FLAGS.includes(path) ? `--${path.replace(".", "-")}` : `--set ${path}`;
}

async function readText(file: string, required: boolean): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    if (!required && (cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw invalid(`${file} cannot be read: ${(cause as Error).message}`);
  }
}

/** Puts the file's leaves into `given`. @throws RingshiftError for bad YAML and unknown keys */
function fromFile(file: string, text: string, given: Map<string, Given>): void {
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const lineOf = (offset: number) => counter.linePos(offset).line;
  const [error] = document.errors;
  if (error !== undefined) throw invalid(`${file}:${lineOf(error.pos[0])}: ${error.message}`);
  const visit = (node: Node | null, prefix: string) => {
    if (node === null || (isScalar(node) && node.value === null)) return; // an empty file, an empty section
    if (!isMap(node))
      throw invalid(`${file}:${lineOf(node.range?.[0] ?? 0)}: ${prefix || "the file"} is a map of settings`);
    for (const { key, value } of node.items) {
      const name = String(isScalar(key) ? key.value : key);
      const path = prefix === "" ? name : `${prefix}.${name}`;
      const line = lineOf((isScalar(key) ? key.range?.[0] : undefined) ?? 0);
      const isLeaf = LEAVES.some((leaf) => leaf.path === path);
      if (!isLeaf && !LEAVES.some((leaf) => leaf.path.startsWith(`${path}.`)))
        throw unknown(`${file}:${line}`, prefix, name);
      if (!isLeaf) visit(value as Node | null, path);
      else if (value !== null) given.set(path, { value: (value as Node).toJS(document), origin: `${file}:${line}` });
    }
  };
  visit(document.contents as Node | null, "");
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
  return invalid(`${where}: unknown setting ${inside}${name}; ${hint}`);
}

function fromText({ kind }: Leaf, text: string): unknown {
  if (kind === "list") return text.split(",").map((part) => part.trim());
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
    throw invalid(
      `--set: unknown setting ${path}; ${near === undefined ? "see ringshift config show" : `did you mean ${near}?`}`,
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
  namespaceOf(settings.namespace);
  if (settings.observer.minNodes > settings.observer.maxNodes) {
    throw invalid(
      `observer.minNodes ${settings.observer.minNodes} is above observer.maxNodes ${settings.observer.maxNodes}`,
    );
  }
  return settings;
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
  const keys = deepest.code === "unrecognized_keys" ? deepest.keys : undefined;
  const near = keys && nearest(keys[0]!, ["address", "name", "weight", "vnodes"]);
  const what =
    keys === undefined
      ? deepest.message
      : `unknown key ${keys[0]}${near === undefined ? "" : `; did you mean ${near}?`}`;
  return invalid(`${origin === undefined ? "" : `${origin}: `}${at}: ${what}`);
}

function rank(issue: core.$ZodIssue): number {
  return issue.code === "unrecognized_keys" ? Number.POSITIVE_INFINITY : issue.path.length;
}

async function nodesOf(settings: Settings, folder: string, files: string[], origins: ReadonlyMap<string, Origin>) {
  const { nodes, serversFile, spares } = settings;
  if (nodes !== undefined && serversFile !== undefined) {
    throw invalid(
      `nodes (${origins.get("nodes")}) and serversFile (${origins.get("serversFile")}): give one of the two`,
    );
  }
  const named =
    nodes ?? (serversFile === undefined ? undefined : await fromServersFile(resolve(folder, serversFile), files));
  const all = [...(named ?? []), ...spares].map(({ address, name = address, weight, vnodes }) => ({
    name,
    weight,
    vnodes,
  }));
  try {
    if (all.length > 0) new Ring(all); // bad names, weights and doubles
  } catch (error) {
    throw isRingshiftError(error) ? invalid(`nodes and spares: ${error.message}`) : error;
  }
  return named;
}

async function fromServersFile(file: string, files: string[]): Promise<NodeSetting[]> {
  const text = (await readText(file, true))!;
  files.push(file);
  try {
    return parseServersFile(text).map(({ name, address, weight }) => ({ name, address, weight }));
  } catch (error) {
    throw isRingshiftError(error) ? invalid(`${file}: ${error.message}`) : error;
  }
}

function invalid(message: string): RingshiftError {
  return new RingshiftError("INVALID_OPTION", message);
}
