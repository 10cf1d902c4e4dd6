/** Fence texts, addresses, expiry fields: pure text in and out. */
import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress } from "../../src/memcached/address.ts";
import {
  classicCas,
  exptimeOf,
  metaArithmetic,
  metaDelete,
  metaGet,
  metaSet,
  metaTouch,
} from "../../src/memcached/commands.ts";
import type { Reply } from "../../src/memcached/exchange.ts";
import { formatFence, formatNonce, parseFence, readFence, UNINDEXED_SUFFIX } from "../../src/memcached/fence.ts";
import { Fifo } from "../../src/memcached/fifo.ts";

const INCARNATION = "0123456789abcdef";

function answer(text: string | undefined): Reply {
  const value = text === undefined ? undefined : Buffer.from(text, "latin1");
  const none = {
    flags: undefined,
    cas: undefined,
    ttl: undefined,
    size: undefined,
    won: false,
    stale: false,
    message: "",
  };
  return { status: value === undefined ? "EN" : "VA", value, ...none };
}

describe("fence", () => {
  test("format and parse are each other's inverse", () => {
    for (const number of [0, 1, 42, 999_999_999_999_999]) {
      for (const unindexed of [false, true]) {
        const text = formatFence(number, INCARNATION, unindexed);
        expect(parseFence(text)).toEqual({ number, incarnation: INCARNATION, unindexed, text });
      }
    }
  });

  test("several clients may have appended the mark", () => {
    const text = `${formatFence(7, INCARNATION, false)}${UNINDEXED_SUFFIX}${UNINDEXED_SUFFIX}`;
    expect(parseFence(text)).toMatchObject({ number: 7, incarnation: INCARNATION, unindexed: true });
  });

  test("a nonce has no number, marked or not", () => {
    expect(parseFence(formatNonce("abc"))).toEqual({
      number: undefined,
      incarnation: "",
      unindexed: false,
      text: "nonce abc",
    });
    expect(parseFence("nonce abc u")).toMatchObject({ number: undefined, unindexed: true });
  });

  test.each([
    "",
    "7",
    "7 ",
    `x ${INCARNATION}`,
    `7 ${INCARNATION}0`,
    `7 ${INCARNATION} v`,
    `-1 ${INCARNATION}`,
    `7  ${INCARNATION}`,
    `7 ${INCARNATION}\n`,
  ])("%j counts as a nonce", (text) => {
    expect(parseFence(text).number).toBeUndefined();
  });

  test("a miss is no reading; the same text is the same reading", () => {
    expect(readFence(answer(undefined))).toBeUndefined();
    const first = readFence(answer(`3 ${INCARNATION}`));
    expect(first?.number).toBe(3);
    expect(readFence(answer(`3 ${INCARNATION}`), first)).toBe(first);
    expect(readFence(answer(`4 ${INCARNATION}`), first)?.number).toBe(4);
  });

  test.each([`3 ${INCARNATION}`, `3 ${INCARNATION} u`, "nonce x", "é", ""])("%j reads the same as text", (text) => {
    const asText = { ...answer(undefined), status: "VA", text };
    const { text: _, ...fields } = readFence(answer(text))!;
    expect(readFence(asText)).toMatchObject(fields);
  });
});

describe("addresses", () => {
  test.each([
    ["10.0.0.1:11212", "10.0.0.1", 11212, "10.0.0.1:11212"],
    ["cache-1.example.org", "cache-1.example.org", 11211, "cache-1.example.org:11211"],
    ["[::1]:11212", "::1", 11212, "[::1]:11212"],
    ["[fe80::1]", "fe80::1", 11211, "[fe80::1]:11211"],
  ])("%s", (text, host, port, formatted) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(formatAddress(parseAddress(text))).toBe(formatted);
  });

  test.each([
    "",
    ":11211",
    "host:",
    "host:0",
    "host:65536",
    "host:1e3",
    "::1",
    "[::1",
    "[]:1",
    "[host]:1",
    "a b",
    "a:1:2",
    "http://a",
    "[::1]x",
  ])("%j is refused", (text) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: "NODE_ADDRESS" }));
  });
});

describe("expiry fields", () => {
  test.each([
    [0, 0],
    [1, 1],
    [0.2, 1],
    [-0.5, -1],
    [-3, -1],
    [2_592_000, 2_592_000],
    [2_592_001, 1_002_592_001],
    [1e12, 0x7fff_ffff],
  ])("%d s is %d", (ttl, exptime) => {
    expect(exptimeOf(ttl, 1_000_000_000)).toBe(exptime);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%d is refused", (ttl) => {
    expect(() => exptimeOf(ttl, 0)).toThrow(expect.objectContaining({ code: "INVALID_TTL" }));
  });
});

describe("request lines", () => {
  const data = Buffer.from("abc");

  test("as the protocol text has them", () => {
    expect(metaGet("k").line).toBe("mg k");
    expect(metaGet("k", "v t").line).toBe("mg k v t");
    expect(metaTouch("k", 9, "f").line).toBe("mg k T9 f");
    expect(metaSet("k", data, { flags: 1, ttl: 2 })).toEqual({ line: "ms k 3 T2 F1", data });
    expect(metaSet("k", data, { mode: "A", flags: 0, ttl: 0, cas: "5", returnCas: true }).line).toBe(
      "ms k 3 T0 F0 MA C5 c",
    );
    expect(metaDelete("k", { cas: "5", staleTtl: 30 }).line).toBe("md k C5 I T30");
    expect(metaArithmetic("k", { delta: 2n ** 64n - 1n, decrement: true }).line).toBe(
      "ma k D18446744073709551615 v MD",
    );
    expect(classicCas("k", 1, 2, "3", data).line).toBe("cas k 1 2 3 3");
  });

  test("what would be refused as malformed is not built", () => {
    expect(() => metaSet("k", data, { flags: 2 ** 32, ttl: 0 })).toThrow(/client flags/);
    expect(() => metaSet("k", data, { flags: 0, ttl: 0.5 })).toThrow(/expiry/);
    expect(() => classicCas("k", 0, 2 ** 31, "3", data)).toThrow(/expiry/);
    expect(() => classicCas("k", 0, 0, "3\r\nflush_all", data)).toThrow(/CAS/);
    expect(() => metaArithmetic("k", { delta: -1 })).toThrow(/delta/);
    expect(() => metaArithmetic("k", { delta: 2 ** 53 })).toThrow(/delta/);
    expect(() => metaArithmetic("k", { delta: 2n ** 64n })).toThrow(/delta/);
  });
});

test("a queue keeps its order through holes, compaction and draining", () => {
  const queue = new Fifo<number>();
  const taken: (number | undefined)[] = [];
  for (let i = 0; i < 5000; i++) {
    queue.push(i);
    if (i % 3 !== 0) taken.push(queue.shift());
  }
  expect(queue.length).toBe(5000 - taken.length);
  expect(queue.peek()).toBe(taken.length);
  expect([...taken, ...queue.drain()]).toEqual(Array.from({ length: 5000 }, (_, i) => i));
  expect(queue.shift()).toBeUndefined();
});
