/**
 * Values: every write has its own. A plain one is its token followed by padding that can be told from it, so that a value which is torn or
 * mixed of two is noticed; the log and the checker know the token alone. Texts that appends build, and counters, have no padding.
 */

/** What a token is in the history when the bytes behind it are not its own. */
const MALFORMED = "malformed:";
const SHOWN = 40;

export function contentOf(token: string, size: number): string {
  const head = `${token}/${size}|`;
  return head + token.repeat(Math.ceil(size / token.length)).slice(0, size);
}

/** The token of a value that `contentOf` has made; anything else is told as malformed. */
export function tokenOf(content: string): string {
  const end = content.indexOf("|");
  const [token = "", size = ""] = content.slice(0, end).split("/");
  if (end > 0 && /^\d+$/.test(size) && content === contentOf(token, Number(size))) return token;
  return `${MALFORMED}${content.length}:${content.slice(0, SHOWN)}`;
}
