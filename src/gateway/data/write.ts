/** POST, PUT and DELETE of one key. */
import type { CasToken } from "../../client/client.ts";
import type { Cache } from "../cache.ts";
import { HttpProblem } from "../http/problem.ts";
import { propertiesOf, readBody, readJson } from "../http/request.ts";
import { toStored } from "./entity.ts";
import { type Condition, conditionOf, tokenOf } from "./etag.ts";
import { queryOf, refuseUnknown, ttlOf } from "./ttl.ts";

/** A write's key and what came with it. */
export interface Write {
  readonly request: Request;
  /** Path and query, as sent. */
  readonly target: string;
  readonly key: string;
  /** The longest body, in bytes. */
  readonly maxBody: number;
}

/** Stores the body of a POST (JSON) or PUT (raw). @throws HttpProblem PRECONDITION_FAILED and others; RingshiftError */
export async function store(cache: Cache, write: Write): Promise<void> {
  const { request, target, key, maxBody } = write;
  const ttl = ttlOf(target, request.headers);
  const condition = conditionOf(request.headers);
  const value =
    request.method === "POST"
      ? postedValue(await readJson(request, maxBody))
      : toStored(await readBody(request, maxBody), request.headers.get("content-type"));
  const stored = await storeIf(cache, key, value, condition, ttl);
  if (!stored) throw preconditionFailed();
}

async function storeIf(cache: Cache, key: string, value: unknown, condition: Condition, ttl: number): Promise<boolean> {
  const { client } = cache;
  switch (condition.kind) {
    case "none":
      return client.set(key, value, { ttl });
    case "absent":
      return client.add(key, value, { ttl });
    case "present":
      return client.replace(key, value, { ttl });
    case "tags": {
      const token = await tokenAmong(cache, key, condition.tags);
      return token !== undefined && client.cas(key, value, token, { ttl });
    }
  }
}

/** The token that a single tag is; of several the one that the value has now. */
async function tokenAmong(cache: Cache, key: string, tags: readonly string[]): Promise<CasToken | undefined> {
  const { nodes } = cache.session.view.document;
  const tokens = tags.flatMap((tag) => tokenOf(tag, nodes) ?? []);
  if (tokens.length < 2) return tokens[0];
  const now = await cache.client.gets(key);
  return tokens.find(({ node, incarnation, cas }) => {
    return now?.cas.node === node && now.cas.incarnation === incarnation && now.cas.cas === cas;
  });
}

/** True when there was a value. @throws HttpProblem, RingshiftError */
export async function remove(cache: Cache, { request, target, key }: Write): Promise<boolean> {
  refuseUnknown(queryOf(target), [], "DELETE takes none");
  const condition = conditionOf(request.headers);
  if (condition.kind === "absent" || condition.kind === "tags") {
    throw new HttpProblem(400, "INVALID_OPTION", "DELETE takes no condition but If-Match: *.");
  }
  const removed = await cache.client.delete(key);
  if (!removed && condition.kind === "present") throw preconditionFailed();
  return removed;
}

function postedValue(body: unknown): unknown {
  const { value } = propertiesOf(body, ["value"]);
  if (value === undefined)
    throw new HttpProblem(400, "INVALID_VALUE", 'The body is {"value": ...}, with any JSON value.');
  return value;
}

function preconditionFailed(): HttpProblem {
  return new HttpProblem(
    412,
    "PRECONDITION_FAILED",
    "The value is not as If-Match or If-None-Match asks. Nothing was changed.",
  );
}
