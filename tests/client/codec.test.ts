/** Values to bytes and flags, and back. */
import { describe, expect, test } from "vitest";
import { decode, encode, FLAG_BIGINT, FLAG_NUMBER } from "../../src/client/codec.ts";
import { isRingshiftError } from "../../src/index.ts";

const codeOf = (work: () => unknown) => {
  try {
    return work();
  } catch (error) {
    return isRingshiftError(error) ? error.code : error;
  }
};

describe("numbers", () => {
  const read = (text: string, flags = FLAG_NUMBER) => codeOf(() => decode(Buffer.from(text), flags));

  test.each([0, -1, 12.5, -1.5e-7, 1e21, 5e-324, Number.MAX_VALUE, 2 ** 53])("%s is read as it is written", (value) => {
    const { data, flags } = encode(value, "k");
    expect(decode(data, flags)).toBe(value);
  });

  test.each(["NaN", "Infinity", "-Infinity"])("%s, as the memcached package stores it, is read", (text) => {
    expect(read(text)).toBe(Number(text));
  });

  test("blanks that decr leaves are no part of it", () => {
    expect(read("9  ")).toBe(9);
    expect(read("18446744073709551615 ", FLAG_NUMBER | FLAG_BIGINT)).toBe(2n ** 64n - 1n);
  });

  test.each(["", " ", "words", "0x10", " 9", "1 2", "1_000", "9\n", "+1", "1e5x", "12,5", "true"])(
    "%j is PROTOCOL_ERROR, as a number and as a bigint",
    (text) => {
      expect(read(text)).toBe("PROTOCOL_ERROR");
      expect(read(text, FLAG_NUMBER | FLAG_BIGINT)).toBe("PROTOCOL_ERROR");
    },
  );
});
