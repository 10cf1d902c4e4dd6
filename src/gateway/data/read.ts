/** What a read of one key is answered: the same through the application and past it (direct-read.ts). */
import type { Item, Reading } from "../cache.ts";
import type { ClusterHeaders } from "../cluster-headers.ts";
import type { Answer } from "../http/answer.ts";
import { HttpProblem, problemAnswer } from "../http/problem.ts";
import { negotiate } from "./accept.ts";
import { documentOf, type Entity, entityOf, JSON_TYPE } from "./entity.ts";
import { alreadyHas, etagOf } from "./etag.ts";

/** The request headers that a read goes by. */
export interface Asked {
  readonly accept: string | null;
  readonly ifNoneMatch: string | null;
}

/** Stored bytes are anybody's: a browser must not run them as part of this origin. */
const RAW_SECURITY = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "sandbox; default-src 'none'",
} as const;

/** @throws HttpProblem NOT_ACCEPTABLE */
export function readAnswer({ item, index }: Reading, cluster: ClusterHeaders, asked: Asked): Answer {
  const headers = cluster.for(index);
  if (item === undefined) return problemAnswer(miss(), headers);
  headers["cache-control"] = "no-cache";
  headers.vary = "accept";
  if (item.ttl !== undefined) headers["x-cacheserver-ttl"] = String(item.ttl);
  const raw = rawOf(item, asked.accept);
  headers.etag = etagOf(item.cas, item.incarnation, index, raw === undefined ? "document" : "raw");
  if (alreadyHas(asked.ifNoneMatch, headers.etag)) return { status: 304, headers, body: null };
  if (raw !== undefined) Object.assign(headers, RAW_SECURITY);
  const { type, body } = raw ?? { type: JSON_TYPE, body: documentOf(item.value) };
  headers["content-type"] = type;
  return { status: 200, headers, body: typeof body === "string" ? body : (body as Uint8Array<ArrayBuffer>) };
}

/** The raw value where Accept has it so; undefined: the document. @throws HttpProblem NOT_ACCEPTABLE */
function rawOf(item: Item, accept: string | null): Entity | undefined {
  if (accept === null || accept === "*/*") return undefined;
  const entity = entityOf(item.value);
  const form = negotiate(accept, entity.type, Buffer.isBuffer(item.value));
  if (form === undefined) {
    throw new HttpProblem(406, "NOT_ACCEPTABLE", `The value can be had as application/json or ${entity.type}.`);
  }
  return form === "raw" ? entity : undefined;
}

export function miss(): HttpProblem {
  return new HttpProblem(404, "NOT_FOUND", "There is no value under this key.");
}
