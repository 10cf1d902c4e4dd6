/** The multi forms: the single ones at once, which leave in one flush a server, and one answer for all of them. */
import { invalidOption, isRingshiftError, RingshiftError } from "../errors.ts";
import type { Core } from "./core.ts";
import { getMany } from "./get-many.ts";
import type { Reader } from "./reading.ts";
import type { MultiOptions, WriteOptions } from "./types.ts";
import type { Writer } from "./writing.ts";

export async function getMulti<T>(
  core: Core,
  reader: Reader,
  keys: readonly string[],
  { signal, failed }: MultiOptions,
): Promise<Map<string, T>> {
  const strict = failed !== undefined;
  let values: readonly (T | undefined)[];
  if (signal === undefined) {
    const many = await getMany<T>(core, reader, keys, strict);
    report(many.failures, failed);
    values = many.values;
  } else {
    values = await all(keys, (key) => reader.get<T>(key, { signal }, strict), failed);
  }
  const found = new Map<string, T>();
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value !== undefined) found.set(keys[i]!, value);
  }
  return found;
}

export async function setMulti(
  writer: Writer,
  entries: readonly (readonly [string, unknown])[],
  options: WriteOptions,
): Promise<true> {
  const sends = entries.map(([key, value]) => writer.preparedSet(key, value, options)); // all are checked before any is sent
  await all(
    entries.map(([key]) => key),
    (_, i) => sends[i]!(),
  );
  return true;
}

/** Key and value, of whatever `setMulti` takes. @throws RingshiftError INVALID_OPTION */
export function entriesOf(entries: object | Iterable<readonly [string, unknown]>): (readonly [string, unknown])[] {
  const taken = "setMulti takes an object, a Map, or a list of [key, value] pairs";
  if (typeof entries !== "object" || entries === null) throw invalidOption(`${taken}.`);
  if (Symbol.iterator in entries) {
    const list = [...(entries as Iterable<readonly [string, unknown]>)];
    if (!list.every(isPair)) throw invalidOption(`${taken}.`);
    return list;
  }
  if (!isPlain(entries)) throw invalidOption(`${taken}; of an object of a class give the fields: { ...object }.`);
  return Object.entries(entries);
}

/** Callers without types give what they like: a string's chars are no entries. */
function isPair(entry: unknown): boolean {
  return Array.isArray(entry) && entry.length === 2;
}

/** Made by `{}`, of whatever realm, or without a prototype. A Promise or a Date has no entries, and would store nothing without a word. */
function isPlain(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

export async function deleteMulti(
  writer: Writer,
  keys: readonly string[],
  options: MultiOptions,
): Promise<Map<string, boolean>> {
  const deleted = await all(keys, (key) => writer.remove(key, options), options.failed);
  const answers = new Map<string, boolean>();
  for (const [i, done] of deleted.entries()) if (done !== undefined) answers.set(keys[i]!, done);
  return answers;
}

/**
 * Waits for all of them: nothing of a multi form is left running behind its answer. Failures go into `failed` where there is one, else the
 * first one is thrown, with all of them in its `failed`.
 */
async function all<T>(
  keys: readonly string[],
  one: (key: string, index: number) => Promise<T>,
  failed?: Map<string, RingshiftError>,
): Promise<(T | undefined)[]> {
  const begin = async (key: string, index: number): Promise<T> => one(key, index); // a key that is refused is one failure of many
  const outcomes = await Promise.allSettled(keys.map(begin));
  const failures = failed ?? new Map<string, RingshiftError>();
  const answers = outcomes.map((outcome, i) => {
    if (outcome.status === "fulfilled") return outcome.value;
    if (!isRingshiftError(outcome.reason)) throw outcome.reason;
    failures.set(keys[i]!, outcome.reason);
    return undefined;
  });
  report(failures, failed);
  return answers;
}

/** Failures go where the caller wants them, else the first one is thrown. */
function report(failures: Map<string, RingshiftError>, failed: Map<string, RingshiftError> | undefined): void {
  if (failures.size === 0 || failures === failed) return;
  if (failed !== undefined) {
    for (const [key, error] of failures) failed.set(key, error);
    return;
  }
  const [first] = failures.values();
  const { code, message, node, key, cause } = first!;
  throw new RingshiftError(code, message, { node, key, cause, failed: failures });
}
