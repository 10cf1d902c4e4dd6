import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import { keyHash, wireKeyOf } from "../../src/ring/index.ts";
import { referenceHash } from "./support.ts";

describe("keyHash", () => {
  it("is the first four bytes of md5, little-endian", () => {
    // RFC 1321: md5("") = d41d8cd9..., md5("abc") = 90015098...
    expect(keyHash("")).toBe(0xd98c1dd4);
    expect(keyHash("abc")).toBe(0x98500190);
  });

  it("is the md5 of crypto at every length, whatever the bytes, where it is computed here and where it is not", () => {
    for (let length = 0; length <= 260; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 151 + length * 7) & 0xff);
      const digest = createHash("md5").update(bytes).digest();
      expect(keyHash(Buffer.from(bytes).toString("latin1")), `${length} bytes`).toBe(digest.readUInt32LE());
    }
  });

  it("refuses a char that is no byte at every place of a short key and in a long one", () => {
    for (const length of [1, 2, 3, 4, 5, 8, 55, 56, 200]) {
      for (const place of [0, length >> 1, length - 1]) {
        const key = `${"a".repeat(place)}\u0101${"a".repeat(length - place - 1)}`;
        expect(() => keyHash(key), `${place} of ${length}`).toThrow("one char per byte");
      }
    }
  });

  it("hashes a JS string's UTF-8 bytes through wireKeyOf", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (key) => {
        expect(keyHash(wireKeyOf(key))).toBe(referenceHash(key));
      }),
    );
  });

  it("hashes bytes that are no UTF-8 as they are", () => {
    expect(keyHash("\xff")).toBe(0xd44f5900); // md5(ff) = 00594fd4...
    expect(keyHash("\xe9")).not.toBe(keyHash(wireKeyOf("\xe9")));
  });

  it("refuses a string that was not encoded", () => {
    expect(() => keyHash("ключ")).toThrow(expect.toSatisfy((error) => isRingshiftError(error, "INVALID_KEY")));
  });
});

describe("wireKeyOf", () => {
  it("has one char per UTF-8 byte", () => {
    expect(wireKeyOf("user:1")).toBe("user:1");
    expect(wireKeyOf("é€")).toBe("\xc3\xa9\xe2\x82\xac");
  });
});
