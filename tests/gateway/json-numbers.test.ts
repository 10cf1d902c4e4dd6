import fc from "fast-check";
import { expect, test } from "vitest";
import { hasAlteredNumber } from "../../src/gateway/http/json-numbers.ts";

test.each([
  "9007199254740993",
  "-9007199254740993",
  "[1, 12345678901234567890]",
  '{"a":{"b":9223372036854775807}}',
  '{"9":"9","\\\\":9007199254740993}',
  '["\\"",9007199254740993,"\\""]',
  "9223372036854775808", // 2^63, which JSON.stringify writes as ...6000
  "1".repeat(400),
  "1e400",
  "[-1E+400]",
])("%s has a number that would be another", (json) => {
  expect(hasAlteredNumber(json)).toBe(true);
});

test.each([
  "9007199254740992",
  "-9007199254740991",
  "[1e22, 1e-400, 0.1234567890123456789]",
  '"9007199254740993"',
  '{"9007199254740993":"1e400"}',
  '["\\\\\\"9007199254740993", "\\\\"]',
  '{"id":"\\u00e49007199254740993","n":1}',
  '["9007199254740993","9007199254740993",1234567890123456]',
])("%s has none", (json) => {
  expect(hasAlteredNumber(json)).toBe(false);
});

test("no JSON that was written from values has one, whatever its strings", () => {
  const strings = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom('"', "\\", '\\"9007199254740993', "1e400"));
  const numbers = fc.oneof(fc.maxSafeInteger(), fc.double({ noDefaultInfinity: true, noNaN: true }));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      strings,
      numbers,
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(strings, tie("value"), { maxKeys: 4 }),
    ),
  }));
  fc.assert(fc.property(value, (any) => !hasAlteredNumber(JSON.stringify(any))));
});

test("and one stands out behind any strings", () => {
  const strings = fc.array(fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom('"', "\\", '\\\\"')));
  const json = strings.map(
    (before) => `${JSON.stringify(before).slice(0, -1)}${before.length > 0 ? "," : ""}9007199254740993]`,
  );
  fc.assert(fc.property(json, hasAlteredNumber));
});

test("a body of the largest size is looked through", () => {
  const long = "\\\\".repeat(2 ** 20);
  expect(hasAlteredNumber(`["${long}", 9007199254740993, "${"x".repeat(2 ** 21)}"]`)).toBe(true);
  expect(hasAlteredNumber(`["${long}9007199254740993"${",1".repeat(2 ** 20)}]`)).toBe(false);
});
