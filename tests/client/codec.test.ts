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

describe("what JSON would empty", () => {
  class Failure extends Error {}
  class Registry extends Map {}

  test.each<[string, object, string]>([
    ["Map", new Map([[1, 2]]), "serializer"],
    ["a class on Map", new Registry(), "serializer"],
    ["Set", new Set([1]), "serializer"],
    ["WeakMap", new WeakMap(), "cannot be stored"],
    ["Error", new Error("lost"), "its message"],
    ["a class on Error", new Failure("lost"), "its message"],
    ["Promise", Promise.resolve(1), "await it"],
    ["RegExp", /a/, "its source"],
    ["ArrayBuffer", new ArrayBuffer(8), "Buffer.from(value)"],
    ["DataView", new DataView(new ArrayBuffer(8)), "value.buffer"],
    ["Float32Array", new Float32Array(2), "value.buffer"],
    ["BigInt64Array", new BigInt64Array(2), "value.buffer"],
  ])("%s is INVALID_VALUE, with what to do", (_, value, advice) => {
    const encoding = () => encode(value, "k");
    expect(codeOf(encoding)).toBe("INVALID_VALUE");
    expect(encoding).toThrow(advice);
  });

  test("objects with toJSON, classes and objects without a prototype are stored; what is inside is JSON's business", () => {
    class Point {
      readonly x = 1;
    }
    const readable = Object.assign(new Map([["a", 1]]), { toJSON: () => ({ a: 1 }) });
    const bare = Object.assign(Object.create(null), { a: 1 });
    const stored = [new Date(0), new Point(), readable, bare, { inside: new Map([[1, 2]]) }, [new Set([1])], null];
    expect(stored.map((value) => encode(value, "k").data.toString())).toStrictEqual([
      '"1970-01-01T00:00:00.000Z"',
      '{"x":1}',
      '{"a":1}',
      '{"a":1}',
      '{"inside":{}}',
      "[{}]",
      "null",
    ]);
  });
});
