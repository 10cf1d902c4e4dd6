import { expect, test } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import { isTextKey, keyFits, keyOfBytes, toWireKey } from "../../src/memcached/key.ts";

function refusal(prefix: string, key: unknown): string {
  try {
    toWireKey(prefix, key as string);
  } catch (error) {
    if (isRingshiftError(error, "INVALID_KEY")) return error.message;
    throw error;
  }
  return "";
}

test("an ASCII key is its own wire form, the prefix in front", () => {
  expect(toWireKey("", "user:1")).toBe("user:1");
  expect(toWireKey("app:", "user:1")).toBe("app:user:1");
  expect(toWireKey("", "__proto__")).toBe("__proto__");
  expect(toWireKey("", "!~")).toBe("!~");
});

test("other text goes as its UTF-8 bytes, one char each", () => {
  expect(toWireKey("", "é")).toBe("\xc3\xa9");
  expect(toWireKey("é", "😀")).toBe("\xc3\xa9\xf0\x9f\x98\x80");
});

test("a key of bytes is text where they are UTF-8, else goes as the bytes", () => {
  expect(keyOfBytes(Buffer.from("é"))).toBe("é");
  const odd = keyOfBytes(Buffer.from("a\xff\xfeb", "latin1"));
  expect(toWireKey("", odd)).toBe("a\xff\xfeb");
  expect(toWireKey("é:", odd)).toBe("\xc3\xa9:a\xff\xfeb");
  expect(refusal("", keyOfBytes(Buffer.from("\xff\r\n", "latin1")))).toContain("0x0d at position 1");
  expect(refusal("", keyOfBytes(Buffer.alloc(251, 0xff)))).toContain("251 bytes");
  const mark = odd.slice(0, odd.indexOf(":") + 1);
  for (const forged of ["", "abc", "\xc3\xa9", "\u0100\xff"]) expect(refusal("", mark + forged)).toContain("neither");
});

test("the limit of 250 counts bytes with the prefix", () => {
  expect(toWireKey("", "a".repeat(250))).toHaveLength(250);
  expect(toWireKey("", "é".repeat(125))).toHaveLength(250);
  expect(refusal("", "a".repeat(251))).toContain("251 bytes");
  expect(refusal("p", "é".repeat(125))).toContain("251 bytes");
  expect(refusal("p".repeat(250), "k")).toContain("the limit is 250");
});

test("every blank and control character is refused, every other byte is not", () => {
  for (let code = 0; code < 0x80; code++) {
    const message = refusal("", `ab${String.fromCharCode(code)}c`);
    if (code <= 0x20 || code === 0x7f)
      expect(message).toContain(`0x${code.toString(16).padStart(2, "0")} at position 2`);
    else expect(message).toBe("");
  }
  expect(refusal("", "x\r\nflush_all")).toContain("0x0d");
  expect(refusal("", "é flush_all")).toContain("0x20");
});

test("empty keys, half surrogate pairs and other types are refused", () => {
  expect(refusal("", "")).toContain("empty");
  expect(refusal("", "a\ud800b")).toContain("surrogate");
  expect(refusal("", 5)).toContain("not number");
  expect(refusal("", null)).toContain("not null");
  expect(refusal("", Buffer.from("k"))).toContain("not object");
});

test("ringshift's own keys are refused, with the prefix counted in", () => {
  expect(refusal("", "ringshift:managed")).toContain("reserved");
  expect(refusal("", "ringshift:fence:default")).toContain("reserved");
  expect(refusal("ringshift:", "fence:")).toContain("reserved");
  expect(toWireKey("", "ringshift:managed2")).toBe("ringshift:managed2");
  expect(toWireKey("x", "ringshift:fence:default")).toBe("xringshift:fence:default");
});

test("the error carries the key as the caller gave it", () => {
  expect(() => toWireKey("p:", "a b")).toThrow(expect.objectContaining({ code: "INVALID_KEY", key: "a b" }));
});

test("binary keys: any byte where they are allowed, up to what base64 makes of 186", () => {
  expect(toWireKey("", "a b\r\n\0", true)).toBe("a b\r\n\0");
  expect(toWireKey("é", " ", true)).toBe("\xc3\xa9 ");
  expect(toWireKey("p:", ` ${"k".repeat(183)}`, true)).toHaveLength(186);
  expect(() => toWireKey("p:", ` ${"k".repeat(184)}`, true)).toThrow(/the limit is 186/);
  expect(toWireKey("", "k".repeat(250), true)).toHaveLength(250);
  for (const key of ["", "a\ud800 b", "ringshift:fence:a b"]) expect(() => toWireKey("", key, true)).toThrow();
});

test("a key is text by its bytes, whichever key was looked at before", () => {
  for (const [key, text] of [
    ["user:1", true],
    ["user 1", false],
    ["\xc3\xa9", true],
    ["\x7f", false],
  ] as const) {
    toWireKey("", "user:1");
    expect(isTextKey(key)).toBe(text);
    expect(isTextKey(key)).toBe(text);
  }
  expect(keyFits("p:", ` ${"k".repeat(183)}`, true)).toBe(true);
  expect(keyFits("p:", ` ${"k".repeat(184)}`, true)).toBe(false);
  expect(keyFits("p:", "k".repeat(248), true)).toBe(true);
  expect(keyFits("p:", "é".repeat(125), false)).toBe(false);
});
