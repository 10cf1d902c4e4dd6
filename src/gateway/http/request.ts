/** What a handler gets to see of a request beyond the standard `Request`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { RingshiftError } from "../../errors.ts";
import { hasAlteredNumber } from "./json-numbers.ts";
import { HttpProblem } from "./problem.ts";

/** Given by the listening socket; a test that calls the handler itself has none. */
export interface Env {
  readonly incoming?: IncomingMessage;
}

export type Handler = (request: Request, env?: Env) => Response | Promise<Response>;

/** Takes a request as Node has it, or leaves it (false) to the handler. */
export type DirectHandler = (incoming: IncomingMessage, outgoing: ServerResponse) => boolean;

/**
 * Path and query as they were sent. `Request.url` will not do: it has resolved `/a/../b` and `/%2e%2e/b` already, and would hide from us
 * that a caller tried.
 */
export function targetOf(request: Request, env: Env | undefined): string {
  const sent = env?.incoming?.url ?? request.url;
  if (sent.startsWith("/")) return sent;
  const path = /^[a-z]+:\/\/[^/?#]*(.*)$/i.exec(sent)?.[1] ?? "";
  return path.startsWith("/") ? path : `/${path}`;
}

/** A request header that every read looks at: Node's own, where there is one, without a `Headers` object for it. */
export function headerOf(request: Request, env: Env | undefined, name: "accept" | "if-none-match"): string | null {
  const headers = env?.incoming?.headers;
  return headers === undefined ? request.headers.get(name) : (headers[name] ?? null);
}

/**
 * The body, whole, of at most `limit` bytes.
 * @throws RingshiftError VALUE_TOO_LARGE; HttpProblem INVALID_OPTION for a body that broke off
 */
export async function readBody(request: Request, limit: number): Promise<Buffer> {
  const length = request.headers.get("content-length");
  if (length !== null && Number(length) > limit) throw tooLarge(limit);
  try {
    // the parser holds a body to its content-length, so only one without it has to be counted
    if (length !== null) return Buffer.from(await request.arrayBuffer());
    return await readCounted(request, limit);
  } catch (error) {
    if (error instanceof RingshiftError) throw error;
    throw new HttpProblem(400, "INVALID_OPTION", "The request's body broke off.");
  }
}

async function readCounted(request: Request, limit: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  if (request.body === null) return Buffer.alloc(0);
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

/** The body as JSON. @throws as `readBody`; HttpProblem INVALID_VALUE, also for a number that would not be what was sent */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const body = await readBody(request, limit);
  let text: string;
  let parsed: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    parsed = JSON.parse(text);
  } catch {
    throw new HttpProblem(400, "INVALID_VALUE", "The request's body is not JSON in UTF-8.");
  }
  if (hasAlteredNumber(text)) {
    const detail =
      "The body has an integer beyond 2^53 that a double rounds, or a number beyond the range of one: send it as a string.";
    throw new HttpProblem(400, "INVALID_VALUE", detail);
  }
  return parsed;
}

/** The properties of a JSON object that may have these and no others. @throws HttpProblem INVALID_OPTION */
export function propertiesOf(body: unknown, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new HttpProblem(400, "INVALID_OPTION", `The body is a JSON object with ${known.join(", ")}.`);
  }
  for (const name of Object.keys(body)) {
    if (!known.includes(name)) {
      const detail = `The body has an unknown property ${JSON.stringify(name.slice(0, 50))}; it takes ${known.join(", ")}.`;
      throw new HttpProblem(400, "INVALID_OPTION", detail);
    }
  }
  return body as Readonly<Record<string, unknown>>;
}

function tooLarge(limit: number): RingshiftError {
  return new RingshiftError("VALUE_TOO_LARGE", `The request's body has more than ${limit} bytes.`);
}
