/**
 * Who may do what on the admin port.
 *
 *   any request     from this origin or from no browser; a loopback port answers to loopback's names only; so many a second per address
 *   a change        besides: the bearer token. Without one configured: none at all
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { RingshiftError } from "../../errors.ts";
import { HttpProblem } from "../http/problem.ts";
import type { Env } from "../http/request.ts";
import { isLoopback, refuseOtherSites, requireLoopbackHost } from "../http/same-origin.ts";
import { RateLimiter } from "./rate-limiter.ts";

export interface GuardOptions {
  /** Address the port is bound to. */
  readonly host: string;
  readonly token: string | undefined;
  /** From one address. */
  readonly requestsPerSecond: number;
}

const MIN_TOKEN = 16;
const TOKEN = /^[\x21-\x7e]+$/;

/** @throws RingshiftError INVALID_OPTION for a port that anybody could reach and change, and for a token that can be guessed or never sent */
export function checkExposure({ host, token }: Pick<GuardOptions, "host" | "token">): void {
  if (token !== undefined && token.length < MIN_TOKEN) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `RINGSHIFT_ADMIN_TOKEN has fewer than ${MIN_TOKEN} characters: take a longer one.`,
    );
  }
  if (token !== undefined && !TOKEN.test(token)) {
    throw new RingshiftError(
      "INVALID_OPTION",
      "RINGSHIFT_ADMIN_TOKEN holds a blank or a character that no Authorization header can carry: take printable ASCII without blanks.",
    );
  }
  if (token === undefined && !isLoopback(host)) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `admin.host is ${host}, which others can reach, and there is no token: set RINGSHIFT_ADMIN_TOKEN, or bind to 127.0.0.1.`,
    );
  }
}

/** For every request. */
export function guard(options: GuardOptions): MiddlewareHandler<{ Bindings: Env }> {
  const limiter = new RateLimiter(options.requestsPerSecond);
  const loopback = isLoopback(options.host);
  return async (context, next) => {
    if (loopback) requireLoopbackHost(context.req.raw);
    const { method } = context.req;
    // a link or a bookmark may lead to the dashboard; other sites may not ask for anything else
    const navigation = method === "GET" && context.req.header("sec-fetch-mode") === "navigate";
    if (!navigation) refuseOtherSites(context.req.raw);
    const address = context.env?.incoming?.socket?.remoteAddress ?? "";
    if (!limiter.take(address, performance.now())) {
      throw new HttpProblem(429, "RATE_LIMITED", "Too many requests from this address.", { "retry-after": "1" });
    }
    await next();
  };
}

/** For a change. */
export function requireToken({ token }: Pick<GuardOptions, "token">): MiddlewareHandler<{ Bindings: Env }> {
  return async (context, next) => {
    checkToken(context.req.header("authorization"), token);
    await next();
  };
}

/** @throws HttpProblem UNAUTHORIZED; FORBIDDEN where no token was configured */
export function checkToken(authorization: string | undefined, token: string | undefined): void {
  if (token === undefined) {
    throw new HttpProblem(
      403,
      "FORBIDDEN",
      "This port is read-only: the gateway was started without RINGSHIFT_ADMIN_TOKEN.",
    );
  }
  const given = /^Bearer ([\x21-\x7e]+)$/i.exec(authorization ?? "")?.[1] ?? "";
  if (!equal(given, token)) {
    throw new HttpProblem(401, "UNAUTHORIZED", "Send the token as Authorization: Bearer TOKEN.", {
      "www-authenticate": 'Bearer realm="ringshift"',
    });
  }
}

/** In constant time: of hashes, which are of one length. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
