/** The URL of a Redis: which texts are one, and how it is shown. */

/** For messages that say what is expected. */
export const REDIS_URL_FORM =
  "redis://[[user]:password@]host[:port][/db] with the number of a database, or rediss:// for TLS";

/** Stricter than ioredis, which takes nearly any text for something: a host, a path of a socket, `/1.5` for database 1. */
export function isRedisUrl(text: string): boolean {
  // in small letters: ioredis speaks plain text to REDISS://
  if (!/^rediss?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { hostname, pathname, searchParams, username, password } = new URL(text);
  if (hostname === "" || !/^(\/\d*)?$/.test(pathname)) return false;
  if (!searchParams.getAll("db").every((db) => /^\d+$/.test(db))) return false;
  return isDecodable(username) && isDecodable(password);
}

/** The URL for people: without user and password, and without its query, where ioredis takes a password too. */
export function printableRedisUrl(text: string): string {
  if (!URL.canParse(text)) return "redis://***";
  const { protocol, username, password, host, pathname, search } = new URL(text);
  const user = username === "" && password === "" ? "" : "***@";
  return `${protocol}//${user}${host}${pathname}${search === "" ? "" : "?***"}`;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
