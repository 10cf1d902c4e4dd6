/** Keys are checked before anything is sent, in single and multi forms; those that are legal are kept apart byte for byte. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Client } from "../../src/index.ts";
import { createClient } from "../../src/index.ts";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench();

const INVALID: readonly [string, string][] = [
  ["empty", ""],
  ["251 bytes", "k".repeat(251)],
  ["251 bytes in 126 chars", `${"é".repeat(125)}k`],
  ["a blank", "two words"],
  ["a tab", "a\tb"],
  ["a line feed", "a\nb"],
  ["a command after CR LF", "a\r\nflush_all\r\nget b"],
  ["a null byte", "a\0b"],
  ["a control character", "a\u0001b"],
  ["delete, 0x7f", "a\u007fb"],
  ["half a surrogate pair", "a\ud800b"],
  ["the other half", "\udc00"],
];
const RESERVED: readonly [string, string][] = [
  ["the marker item", "ringshift:managed"],
  ["a fence item", "ringshift:fence:default"],
  ["any fence item", "ringshift:fence:"],
];

describe.each(["default", "shop"])("namespace %s", (namespace) => {
  let client: Client;
  beforeAll(async () => {
    client = await createClient({ redis: bench.local.redis.url, servers: bench.local.servers, namespace });
  });
  afterAll(() => client.quit());

  // in the default namespace the key is the wire key, so it can meet the reserved ones
  test.each(namespace === "default" ? [...INVALID, ...RESERVED] : INVALID)(
    "%s is INVALID_KEY in every command",
    async (_, key) => {
      await client.set("good", "old");
      const token = (await client.gets("good"))!.cas;
      const calls = [
        client.get(key),
        client.gets(key),
        client.getMulti(["good", key]),
        client.set(key, 1),
        client.setMulti([
          ["good", "new"],
          [key, 1],
        ]),
        client.add(key, 1),
        client.replace(key, 1),
        client.cas(key, 1, token),
        client.delete(key),
        client.deleteMulti([key]),
        client.incr(key),
        client.decr(key),
        client.touch(key, 1),
      ];
      expect(await Promise.all(calls.map(codeOf))).toStrictEqual(calls.map(() => "INVALID_KEY"));
      expect(() => client.locate(key)).toThrow(expect.objectContaining({ code: "INVALID_KEY" }));
      expect(await client.get("good")).toBe("old");
    },
  );

  test("what is no string is INVALID_KEY", async () => {
    for (const key of [undefined, null, 5, {}, ["a"]]) {
      expect(await codeOf(client.get(key as never))).toBe("INVALID_KEY");
      expect(await codeOf(client.set(key as never, 1))).toBe("INVALID_KEY");
    }
  });

  test("the longest keys, and keys of any other bytes", async () => {
    const prefix = namespace === "default" ? 0 : namespace.length + 1;
    const keys = [
      "k".repeat(250 - prefix),
      "é".repeat((250 - prefix) >> 1),
      "🦁/茨城県?%20=&",
      "\"'`\\|;<>",
      "ringshift:other",
      "Ringshift:managed",
      "é",
      "e\u0301", // looks the same, is another key
    ];
    await client.setMulti(keys.map((key, i) => [key, i] as const));
    expect(await client.getMulti(keys)).toStrictEqual(new Map(keys.map((key, i) => [key, i])));
    expect(await codeOf(client.set("k".repeat(251 - prefix), 1))).toBe("INVALID_KEY");
  });
});
