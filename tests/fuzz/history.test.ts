/** The fuzzer's judge: that it finds wrong answers at all. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { KeyHistory } from "../../src/fuzz/history.ts";
import { isKey } from "../../src/fuzz/keys.ts";
import { fateOf, isSame } from "../../src/fuzz/values.ts";

const set = (value: string) => ({ kind: "set", value }) as const;
const get = { kind: "get" } as const;
const failed = (code: "AMBIGUOUS_WRITE" | "NODE_DOWN" | "INVALID_KEY") => ({ error: new RingshiftError(code, code) });

test("an answer is the last acknowledged value, or one whose effect is unknown", () => {
  const history = new KeyHistory("k");
  expect(history.add(get, { answer: undefined })).toBeUndefined();
  expect(history.add(set("1"), { answer: true })).toBeUndefined();
  expect(history.add(set("2"), failed("AMBIGUOUS_WRITE"))).toBeUndefined();
  expect(history.add(set("3"), failed("NODE_DOWN"))).toBeUndefined();
  expect(history.add(get, { answer: "1" })).toBeUndefined();
  expect(history.add(get, { answer: "2" })).toBeUndefined();
  expect(history.add(get, { answer: "3" })).toMatch(/get k answered "3"/);
  expect(history.add(get, { answer: undefined })).toMatch(/answered undefined/);
});

test("a value that was replaced, deleted or another key's is wrong", () => {
  const history = new KeyHistory("k");
  history.add(set("1"), { answer: true });
  history.add(set("2"), { answer: true });
  expect(history.add(get, { answer: "1" })).toMatch(/answered "1"/);
  expect(history.add({ kind: "delete" }, { answer: false })).toMatch(/delete k answered false/);
  expect(history.add(get, { answer: "2" })).toMatch(/answered "2"/);
  expect(history.add(get, { answer: "of another key" })).toMatch(/another key/);
});

test("an error that no server can cause is a finding", () => {
  expect(new KeyHistory("k").add(get, failed("INVALID_KEY"))).toMatch(/INVALID_KEY/);
  expect(new KeyHistory("k").add(get, { error: new TypeError("oops") })).toMatch(/oops/);
});

test("what is a key, and what fits, by memcached's own text", () => {
  for (const key of ["a", "__proto__", "\u0080", "k".repeat(250), "\u{1f600}"])
    expect([key, isKey(key, "")]).toEqual([key, true]);
  for (const key of ["", " ", "a b", "\r", "\u007f", "k".repeat(251), "\ud800", "ringshift:managed", 7, null]) {
    expect([key, isKey(key, "")]).toEqual([key, false]);
  }
  expect(isKey("k".repeat(248), "ns:")).toBe(false);
  expect(fateOf({ value: "", bytes: 1024 * 1024 - 64, valid: true }, 1)).toBe("stored");
  expect(fateOf({ value: "", bytes: 1024 * 1024 - 63, valid: true }, 1)).toBe("too-large");
  expect(isSame(0, -0)).toBe(false);
  expect(isSame(JSON.parse('{"__proto__":1}'), {})).toBe(false);
});
