/**
 * Requests that a page of another site makes a browser send. A port on loopback is no protection from those: a browser runs there too.
 * Programs send neither header and pass.
 */
import { HttpProblem } from "./problem.ts";

/** @throws HttpProblem FORBIDDEN */
export function refuseOtherSites(request: Request): void {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  if (site !== null && site !== "same-origin" && site !== "none") throw otherSite();
  if (origin === null) return;
  const host = request.headers.get("host") ?? new URL(request.url).host;
  if (origin !== `http://${host}` && origin !== `https://${host}`) throw otherSite();
}

/**
 * On a port bound to loopback: the name in the Host header has to be loopback's own. A page whose name was made to resolve to
 * 127.0.0.1 (DNS rebinding) is of the same origin to its browser, and says its own name here.
 * @throws HttpProblem FORBIDDEN
 */
export function requireLoopbackHost(request: Request): void {
  const host = request.headers.get("host") ?? new URL(request.url).host;
  if (isLoopback(host.replace(/:\d+$/, ""))) return;
  throw new HttpProblem(
    403,
    "FORBIDDEN",
    "This port is bound to loopback and answers to localhost, 127.0.0.1 and [::1] only.",
  );
}

/** True for the names and addresses of loopback, an IPv6 address with or without its brackets. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || /^127(?:\.\d{1,3}){3}$/.test(host) || host === "::1" || host === "[::1]";
}

function otherSite(): HttpProblem {
  return new HttpProblem(403, "FORBIDDEN", "The request comes from a page of another site.");
}
