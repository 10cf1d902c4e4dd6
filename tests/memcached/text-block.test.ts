/** ASCII data as text makes the same request as its bytes. */
import { describe, expect, test } from "vitest";
import { metaSet } from "../../src/memcached/commands.ts";
import { encodeFlush, encodeRecords, newFlush, newPending } from "../../src/memcached/flush.ts";
import { isAscii } from "../../src/memcached/text-block.ts";

const TEXTS = [
  "",
  "a",
  "plain text",
  "line\r\nbreaks",
  "\x00\x7f",
  "x".repeat(2_047),
  "x".repeat(2_048),
  "y".repeat(300_000),
];

function bytesOf(data: string | Buffer): { flush: string; records: string; bytes: number } {
  const item = newPending([metaSet("key", data, { flags: 0, ttl: 60 })], undefined, () => {});
  const flush = newFlush([item], undefined);
  const text = (pieces: readonly (string | Buffer)[]) =>
    pieces.map((piece) => (typeof piece === "string" ? piece : piece.toString("latin1"))).join("");
  return { flush: text(encodeFlush(flush)), records: text(encodeRecords(flush, 16_000)), bytes: item.bytes };
}

describe("a data block of ASCII text", () => {
  test.each(TEXTS)("%# goes as its bytes do, in one piece and in TLS records", (value) => {
    expect(isAscii(value)).toBe(true);
    const sent = bytesOf(value);
    expect(sent).toStrictEqual(bytesOf(Buffer.from(value, "utf8")));
    expect(sent.bytes).toBe(sent.flush.length);
    expect(sent.records).toBe(sent.flush);
  });

  test.each(["é", "\x80", "ключ", "a🔑", `${"x".repeat(300_000)}é`, "x".repeat(1024 * 1024 + 1)])(
    "%# is no ASCII",
    (value) => {
      expect(isAscii(value)).toBe(false);
    },
  );
});
