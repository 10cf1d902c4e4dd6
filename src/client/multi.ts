/** The multi forms: the single ones at once, which leave in one flush a server, and one answer for all of them. */
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { Reader } from "./reading.ts";
import type { MultiOptions, WriteOptions } from "./types.ts";
import type { Writer } from "./writing.ts";

export async function getMulti<T>(
  reader: Reader,
  keys: readonly string[],
  { signal, failed }: MultiOptions,
): Promise<Map<string, T>> {
  const strict = failed !== undefined;
  const values = await all(keys, (key) => reader.get<T>(key, { signal }, strict), failed);
  const found = new Map<string, T>();
  for (const [i, value] of values.entries()) if (value !== undefined) found.set(keys[i]!, value);
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
  const [first] = failures.values();
  if (first === undefined || failed !== undefined) return answers;
  const { code, message, node, key, cause } = first;
  throw new RingshiftError(code, message, { node, key, cause, failed: failures });
}
