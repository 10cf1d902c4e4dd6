/**
 * GET of a plain key, which most requests are, straight from Node's request to Node's answer. The application (app.ts) answers the same, by
 * the same functions; past it a request needs no `Request`, `Response` and promises, and its answer one `write`.
 *
 *   request ─┬─ GET /plain-key, usual Host ──► cache.readInto ──► readAnswer ──► ServerResponse
 *            └─ any other ───────────────────► the application
 */
import type { Reading } from "../cache.ts";
import { type Answer, writeAnswer } from "../http/answer.ts";
import { problemAnswer } from "../http/problem.ts";
import type { DirectHandler } from "../http/request.ts";
import type { DataAppOptions } from "./app.ts";
import { plainKeyOf } from "./key.ts";
import { readAnswer } from "./read.ts";

/** Of the hosts that the application's adapter takes, those that need no closer look. */
const USUAL_HOST = /^[a-z0-9._-]+(?::(?:[1-5]\d{3,4}|[6-9]\d{3}))?$/;

export function createDirectReads({ cache, headers: cluster, onAnswer }: DataAppOptions): DirectHandler {
  return (incoming, outgoing) => {
    const { method, url = "", headers } = incoming;
    if (method !== "GET" || headers.host === undefined || !USUAL_HOST.test(headers.host)) return false;
    const key = plainKeyOf(url);
    if (key === undefined) return false;
    const begun = performance.now();
    const send = (answer: Answer, failure?: unknown) => {
      writeAnswer(outgoing, answer);
      onAnswer?.("GET", answer.status, performance.now() - begun, failure);
    };
    const fail = (error: unknown) => send(problemAnswer(error, cluster.for(cache().indexOf(key))), error);
    const succeed = (reading: Reading) => {
      const asked = { accept: headers.accept ?? null, ifNoneMatch: headers["if-none-match"] ?? null };
      let answer: Answer;
      try {
        answer = readAnswer(reading, cluster, asked);
      } catch (error) {
        fail(error);
        return;
      }
      send(answer);
    };
    try {
      cache().readInto(key, succeed, fail);
    } catch {
      return false; // nothing was sent: the application says why
    }
    return true;
  };
}
