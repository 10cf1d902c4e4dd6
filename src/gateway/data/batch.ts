/**
 * Many keys in one request, at the path `/`, which is no key:
 *
 *   GET  /?key=a&key=b          POST / {"get": ["a", "b"]}          → {"items": {"a": {"value": ...}}, "missing": ["b"]}
 *   POST / {"set": {"a": 1, "b": 2}, "ttl": 60}                      → {"stored": ["a", "b"]}
 *   POST / {"delete": ["a", "b"]}                                    → {"deleted": ["a"], "missing": ["b"]}
 *
 * A key that failed stands under `failed` with its problem, beside those that did not: 207 then, or the first failure when all failed.
 */
import type { Cache } from "../cache.ts";
import { HttpProblem, type ProblemDocument, problemOf } from "../http/problem.ts";
import { propertiesOf, readJson } from "../http/request.ts";
import { documentOf } from "./entity.ts";
import { checkKey, keysOfQuery } from "./key.ts";
import { queryOf, refuseUnknown } from "./ttl.ts";

const MAX_KEYS = 1_000;
const TTL_IN_BODY = 'The time to live of a batch stands in its body: {"set": {"a": 1}, "ttl": 60}.';

export interface BatchAnswer {
  readonly status: 200 | 201 | 207;
  /** JSON. */
  readonly body: string;
  /** The keys, so that the answer can say who served them. */
  readonly keys: readonly string[];
}

type Outcome<T> = { readonly key: string; readonly value: T } | { readonly key: string; readonly error: unknown };

/** @throws HttpProblem INVALID_OPTION; the first failure when every key failed */
export async function batch(cache: Cache, request: Request, target: string, maxBody: number): Promise<BatchAnswer> {
  if (request.method !== "POST") return get(cache, keyList(queryKeys(target)));
  refuseStray(request, target);
  const body = propertiesOf(await readJson(request, maxBody), ["get", "set", "delete", "ttl"]);
  const verbs = (["get", "set", "delete"] as const).filter((verb) => body[verb] !== undefined);
  if (verbs.length !== 1) throw bad('A batch has one of "get", "set" and "delete".');
  if (body.ttl !== undefined && (verbs[0] !== "set" || typeof body.ttl !== "number")) {
    throw bad('"ttl" is a number of seconds and goes with "set".');
  }
  if (verbs[0] === "set" && /max-age/i.test(request.headers.get("cache-control") ?? "")) throw bad(TTL_IN_BODY);
  switch (verbs[0]!) {
    case "get":
      return get(cache, keyList(body.get));
    case "set":
      return set(cache, entriesOf(body.set), (body.ttl as number | undefined) ?? 0);
    case "delete":
      return remove(cache, keyList(body.delete));
  }
}

async function get(cache: Cache, keys: readonly string[]): Promise<BatchAnswer> {
  const outcomes = await each(cache, keys, (key) => cache.read(key));
  const items: string[] = [];
  const missing: string[] = [];
  for (const outcome of outcomes) {
    if ("error" in outcome) continue;
    const { key, value } = outcome;
    if (value.item === undefined) missing.push(key);
    else items.push(`${JSON.stringify(key)}:${documentOf(value.item.value)}`);
  }
  return answer(200, outcomes, `"items":{${items.join(",")}},"missing":${JSON.stringify(missing)}`);
}

async function set(cache: Cache, entries: ReadonlyMap<string, unknown>, ttl: number): Promise<BatchAnswer> {
  const outcomes = await each(cache, [...entries.keys()], (key) => cache.client.set(key, entries.get(key), { ttl }));
  const stored = outcomes.flatMap((outcome) => ("error" in outcome ? [] : [outcome.key]));
  return answer(201, outcomes, `"stored":${JSON.stringify(stored)}`);
}

async function remove(cache: Cache, keys: readonly string[]): Promise<BatchAnswer> {
  const outcomes = await each(cache, keys, (key) => cache.client.delete(key));
  const withAnswer = (was: boolean) =>
    outcomes.flatMap((outcome) => ("error" in outcome || outcome.value !== was ? [] : [outcome.key]));
  const members = `"deleted":${JSON.stringify(withAnswer(true))},"missing":${JSON.stringify(withAnswer(false))}`;
  return answer(200, outcomes, members);
}

/** What single keys take beside their body. Ignored, it would be taken for done. @throws HttpProblem INVALID_OPTION */
function refuseStray({ headers }: Request, target: string): void {
  const query = queryOf(target);
  if (query.has("ttl")) throw bad(TTL_IN_BODY);
  refuseUnknown(query, [], "a batch is in its body");
  if (!headers.has("if-match") && !headers.has("if-none-match")) return;
  throw bad("A batch takes no conditions: If-Match and If-None-Match go with one key, at its path.");
}

/** Checks all keys before any is sent. @throws RingshiftError INVALID_KEY */
function each<T>(cache: Cache, keys: readonly string[], work: (key: string) => Promise<T>): Promise<Outcome<T>[]> {
  for (const key of keys) {
    checkKey(key);
    cache.indexOf(key);
  }
  return Promise.all(
    keys.map(async (key): Promise<Outcome<T>> => {
      try {
        return { key, value: await work(key) };
      } catch (error) {
        return { key, error };
      }
    }),
  );
}

function answer(status: 200 | 201, outcomes: readonly Outcome<unknown>[], members: string): BatchAnswer {
  const failed: [string, ProblemDocument][] = [];
  for (const outcome of outcomes) if ("error" in outcome) failed.push([outcome.key, problemOf(outcome.error)]);
  const keys = outcomes.map((outcome) => outcome.key);
  if (failed.length === 0) return { status, body: `{${members}}`, keys };
  const first = outcomes.find((outcome) => "error" in outcome);
  if (failed.length === outcomes.length && first !== undefined && "error" in first) throw first.error;
  return { status: 207, body: `{${members},"failed":${JSON.stringify(Object.fromEntries(failed))}}`, keys };
}

function queryKeys(target: string): string[] {
  refuseUnknown(queryOf(target), ["key"], "GET / takes key, once for every key");
  return keysOfQuery(target);
}

function keyList(keys: unknown): string[] {
  if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) throw bad("Keys are a list of strings.");
  return bounded([...new Set(keys as string[])]);
}

function entriesOf(entries: unknown): Map<string, unknown> {
  if (typeof entries !== "object" || entries === null || Array.isArray(entries)) throw bad('"set" is an object.');
  const map = new Map(Object.entries(entries));
  bounded([...map.keys()]);
  return map;
}

function bounded(keys: string[]): string[] {
  if (keys.length === 0) throw bad("A batch names at least one key.");
  if (keys.length > MAX_KEYS) throw bad(`A batch has at most ${MAX_KEYS} keys.`);
  return keys;
}

function bad(message: string): HttpProblem {
  return new HttpProblem(400, "INVALID_OPTION", message);
}
