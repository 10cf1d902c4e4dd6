/**
 * Entity tags are CAS tokens: `"cas.incarnation.index"`. The node goes by its index, which is never used again, so a tag of a server that
 * has left or restarted matches nothing. The raw form has `.raw` behind its token: other bytes than the document's need another strong tag
 * (RFC 9110, section 8.8.3), and a write takes either, since both are of the one value.
 */
import type { CasToken } from "../../client/client.ts";
import type { NodeRecord } from "../../topology/document.ts";
import { HttpProblem } from "../http/problem.ts";
import type { Form } from "./accept.ts";

/** What a writing request demands of what is there. */
export type Condition =
  | { readonly kind: "none" }
  /** `If-None-Match: *`: nothing is there. */
  | { readonly kind: "absent" }
  /** `If-Match: *`: something is there. */
  | { readonly kind: "present" }
  /** `If-Match`: the value is one of these. */
  | { readonly kind: "tags"; readonly tags: readonly string[] };

const TAG = /^"(\d{1,20})\.([0-9a-f]{1,32})\.(\d{1,9})(?:\.raw)?"$/;

export function etagOf(cas: string, incarnation: string, index: number, form: Form): string {
  return `"${cas}.${incarnation}.${index}${form === "raw" ? ".raw" : ""}"`;
}

/** The token of a tag of ours, of either form; undefined for any other tag, a weak one, or one of a node that has left. */
export function tokenOf(tag: string, nodes: readonly NodeRecord[]): CasToken | undefined {
  const [, cas, incarnation, index] = TAG.exec(tag) ?? [];
  const node = nodes.find((one) => one.index === Number(index));
  return node === undefined ? undefined : { node: node.name, incarnation: incarnation!, cas: cas! };
}

/** @throws HttpProblem INVALID_OPTION for what cannot be held atomically */
export function conditionOf(headers: Headers): Condition {
  const match = headers.get("if-match");
  const noneMatch = headers.get("if-none-match");
  if (noneMatch !== null && (match !== null || noneMatch.trim() !== "*")) {
    throw new HttpProblem(400, "INVALID_OPTION", "A write takes If-None-Match: * or If-Match, and one of the two.");
  }
  if (noneMatch !== null) return { kind: "absent" };
  if (match === null) return { kind: "none" };
  return match.trim() === "*" ? { kind: "present" } : { kind: "tags", tags: tagsOf(match) };
}

/** True when `If-None-Match` of a read says that the caller has this already. Weak comparison. */
export function alreadyHas(header: string | null, etag: string): boolean {
  if (header === null) return false;
  return header.trim() === "*" || tagsOf(header).some((tag) => tag.replace(/^W\//, "") === etag);
}

/** As many as there are: the request's head is bounded. */
function tagsOf(header: string): string[] {
  return header.split(",").map((tag) => tag.trim());
}
