/**
 * The log of a run, in files: a line before each call and one after its answer, each written at once, so that a process which is killed has
 * logged all that it may have sent. One file per process life and *bucket* of keys: the judge reads a bucket at a time, so its memory is bounded
 * by the run's length over the number of buckets.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Call, Operation, Outcome, Result } from "./history.ts";

export const BUCKETS = 16;

/** ms since `startNs` on the clock that all processes of the machine share and that nobody sets. */
export function clockSince(startNs: bigint): () => number {
  return () => Number(process.hrtime.bigint() - startNs) / 1e6;
}

export function bucketOf(key: string): number {
  return createHash("md5").update(key).digest()[0]! % BUCKETS;
}

type CallLine = [0, number, number, string, Call["verb"], string, number, number, string, boolean];
type AnswerLine = [1, number, number, Outcome, Result, string];

export class JournalWriter {
  readonly #files: number[];

  /** @param client process and life, `3.1` */
  constructor(folder: string, client: string) {
    this.#files = Array.from({ length: BUCKETS }, (_, bucket) =>
      openSync(join(folder, `${bucket}-${client}.log`), "a"),
    );
  }

  call(call: Call): void {
    const { id, at, key, verb, text, ttl, delta, expected, moving } = call;
    this.#write(key, [0, id, at, key, verb, text, ttl, delta, expected, moving]);
  }

  answer(call: Call, at: number, outcome: Outcome, result: Result, code: string): void {
    this.#write(call.key, [1, call.id, at, outcome, result, code]);
  }

  close(): void {
    for (const file of this.#files) closeSync(file);
  }

  #write(key: string, line: CallLine | AnswerLine): void {
    writeSync(this.#files[bucketOf(key)]!, `${JSON.stringify(line)}\n`);
  }
}

/** The operations of a bucket, by key, in the order of their calls. Calls without an answer are `open`. */
export function readBucket(folder: string, bucket: number): Map<string, Operation[]> {
  const byKey = new Map<string, Operation[]>();
  for (const file of readdirSync(folder)) {
    const [, number, client] = /^(\d+)-(.+)\.log$/.exec(file) ?? [];
    if (Number(number) !== bucket || client === undefined) continue;
    for (const operation of operationsOf(readFileSync(join(folder, file), "utf8"), client)) {
      const others = byKey.get(operation.key);
      if (others === undefined) byKey.set(operation.key, [operation]);
      else others.push(operation);
    }
  }
  for (const [key, operations] of byKey) {
    operations.sort((a, b) => a.at - b.at);
    byKey.set(
      key,
      operations.map((operation, id) => ({ ...operation, id })), // each process has counted its own
    );
  }
  return byKey;
}

function operationsOf(text: string, client: string): Iterable<Operation> {
  const operations = new Map<number, Operation>();
  for (const line of text.split("\n")) {
    const parsed = parse(line);
    if (parsed === undefined) continue;
    if (parsed[0] === 0) {
      const [, id, at, key, verb, text, ttl, delta, expected, moving] = parsed;
      const call = { id, at, key, verb, text, ttl, delta, expected, moving };
      operations.set(id, { ...call, client, end: Number.POSITIVE_INFINITY, outcome: "open", result: null, code: "" });
    } else {
      const [, id, end, outcome, result, code] = parsed;
      const call = operations.get(id);
      if (call !== undefined) operations.set(id, { ...call, end, outcome, result, code });
    }
  }
  return operations.values();
}

/** Undefined for the last line of a process that died in it. */
function parse(line: string): CallLine | AnswerLine | undefined {
  if (!line.endsWith("]")) return undefined;
  return JSON.parse(line) as CallLine | AnswerLine;
}
