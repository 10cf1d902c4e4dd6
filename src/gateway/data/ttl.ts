/** The time to live that a writing request asks for: `?ttl=` seconds, or `Cache-Control: max-age`. */
import { RingshiftError } from "../../errors.ts";
import { nearest } from "../../suggest.ts";
import { HttpProblem } from "../http/problem.ts";

const SECONDS = /^\d{1,10}(?:\.\d{1,3})?$/;

/**
 * Seconds; 0: never expires. `?ttl=` wins over the header.
 * @throws RingshiftError INVALID_TTL; HttpProblem INVALID_OPTION for a query parameter that nobody reads
 */
export function ttlOf(target: string, headers: Headers): number {
  const query = queryOf(target);
  refuseUnknown(query, ["ttl"], "a write takes ttl");
  const asked = query.get("ttl");
  if (asked !== null) {
    if (!SECONDS.test(asked))
      throw new RingshiftError("INVALID_TTL", "?ttl= takes seconds, 0 or more; 0 never expires.");
    return Number(asked);
  }
  const age = /(?:^|[,\s])max-age\s*=\s*"?([^,"\s]*)/i.exec(headers.get("cache-control") ?? "")?.[1];
  if (age === undefined) return 0;
  // HTTP's 0 is "stale at once", memcached's is "never expires": neither may be taken for the other
  if (!/^\d{1,10}$/.test(age) || Number(age) === 0) {
    throw new RingshiftError(
      "INVALID_TTL",
      "Cache-Control: max-age takes whole seconds above 0; ?ttl=0 never expires.",
    );
  }
  return Number(age);
}

/** @param hint what the request takes. @throws HttpProblem INVALID_OPTION for a query parameter that nobody reads */
export function refuseUnknown(query: URLSearchParams, known: readonly string[], hint: string): void {
  for (const name of query.keys()) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    const help = near === undefined ? `${hint}.` : `did you mean ${near}?`;
    const detail = `Unknown query parameter ${JSON.stringify(name.slice(0, 50))}; ${help}`;
    throw new HttpProblem(400, "INVALID_OPTION", detail);
  }
}

export function queryOf(target: string): URLSearchParams {
  const from = target.indexOf("?");
  return new URLSearchParams(from === -1 ? "" : target.slice(from + 1));
}
