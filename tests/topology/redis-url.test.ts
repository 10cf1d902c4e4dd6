import { describe, expect, test } from "vitest";
import { isRedisUrl, printableRedisUrl } from "../../src/topology/redis-url.ts";

describe("a Redis URL", () => {
  test.each([
    "redis://127.0.0.1",
    "redis://127.0.0.1:6379",
    "redis://[::1]:6379/",
    "redis://cache/0",
    "rediss://user:pass%20word@cache:1/15",
    "redis://:p@ss@cache",
    "redis://cache?db=3&family=6",
  ])("%s", (text) => expect(isRedisUrl(text)).toBe(true));

  test.each([
    "",
    "127.0.0.1:6379",
    "/run/redis.sock",
    "http://cache",
    "REDISS://cache",
    " redis://cache",
    "redis://",
    "redis:///3",
    "redis://127.0.0.1:abc",
    "redis://127.0.0.1:99999",
    "redis://cache/abc",
    "redis://cache/1.5",
    "redis://cache/-1",
    "redis://cache/1/2",
    "redis://user:1/pass@cache",
    "redis://cache?db=abc",
    "redis://cache?db=1&db=",
    "redis://user:50%@cache",
  ])("is not %j", (text) => expect(isRedisUrl(text)).toBe(false));
});

test.each([
  ["redis://127.0.0.1:6379/3", "redis://127.0.0.1:6379/3"],
  ["rediss://[::1]", "rediss://[::1]"],
  ["redis://:secret@cache:1", "redis://***@cache:1"],
  ["redis://user:secret@cache", "redis://***@cache"],
  ["redis://user:sec@ret@cache/1", "redis://***@cache/1"],
  ["redis://cache?password=secret", "redis://cache?***"],
  ["redis://user:1?secret@cache", "redis://user:1?***"],
  ["redis://cache#secret", "redis://cache"],
  ["redis://user:sec/ret@cache", "redis://***"],
])("%s is shown as %s", (text, shown) => expect(printableRedisUrl(text)).toBe(shown));
