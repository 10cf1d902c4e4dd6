import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import type { Reply } from "../../src/memcached/exchange.ts";
import { MAX_LINE_BYTES, ReplyParser } from "../../src/memcached/parser.ts";

const NOTHING = {
  value: undefined,
  flags: undefined,
  cas: undefined,
  ttl: undefined,
  size: undefined,
  won: false,
  stale: false,
  message: "",
};

function reply(status: string, fields: Partial<Reply> = {}): Reply {
  return { ...NOTHING, status, ...fields };
}

function parse(chunks: readonly Buffer[]): Reply[] {
  const replies: Reply[] = [];
  const parser = new ReplyParser((one) => replies.push(one));
  for (const chunk of chunks) parser.push(chunk);
  return replies;
}

function refusal(...chunks: string[]): { message: string; replies: number } {
  const replies: Reply[] = [];
  const parser = new ReplyParser((one) => replies.push(one));
  try {
    for (const chunk of chunks) parser.push(Buffer.from(chunk, "latin1"));
  } catch (error) {
    if (!isRingshiftError(error, "PROTOCOL_ERROR")) throw error;
    parser.push(Buffer.from("HD\r\n"));
    return { message: error.message, replies: replies.length };
  }
  return { message: "", replies: replies.length };
}

/** Every reply there is, with values that look like replies. */
const TEXT = [
  "HD\r\n",
  "HD c18446744073709551615 O12 kkey b\r\n",
  "VA 5 f4294967295 c7 t-1 s5 W X Z\r\nHD\r\n!\r\n",
  "VA 0\r\n\r\n",
  "VA 2 t0 s2\r\n\r\n\r\n",
  "EN\r\nNF\r\nNS\r\nEX c9\r\nMN\r\n",
  "STORED\r\nNOT_STORED\r\nEXISTS\r\nNOT_FOUND\r\nOK\r\nDELETED\r\nTOUCHED\r\n",
  "VERSION 1.6.18\r\nERROR\r\nERROR unknown command\r\nCLIENT_ERROR bad data chunk\r\nSERVER_ERROR out of memory storing object\r\n",
].join("");
const REPLIES = [
  reply("HD"),
  reply("HD", { cas: "18446744073709551615" }),
  reply("VA", { value: Buffer.from("HD\r\n!"), flags: 4294967295, cas: "7", ttl: -1, size: 5, won: true, stale: true }),
  reply("VA", { value: Buffer.alloc(0) }),
  reply("VA", { value: Buffer.from("\r\n"), ttl: 0, size: 2 }),
  ...["EN", "NF", "NS"].map((status) => reply(status)),
  reply("EX", { cas: "9" }),
  ...["MN", "STORED", "NOT_STORED", "EXISTS", "NOT_FOUND", "OK", "DELETED", "TOUCHED"].map((status) => reply(status)),
  reply("VERSION", { message: "1.6.18" }),
  reply("ERROR"),
  reply("ERROR", { message: "unknown command" }),
  reply("CLIENT_ERROR", { message: "bad data chunk" }),
  reply("SERVER_ERROR", { message: "out of memory storing object" }),
];

describe("whatever the cut", () => {
  const bytes = Buffer.from(TEXT, "latin1");

  test("in one chunk", () => {
    expect(parse([bytes])).toEqual(REPLIES);
  });

  test("in two chunks, at every position", () => {
    for (let at = 0; at <= bytes.length; at++)
      expect(parse([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(REPLIES);
  });

  test("byte by byte", () => {
    expect(parse([...bytes].map((byte) => Buffer.of(byte)))).toEqual(REPLIES);
  });

  test("at random positions, random values", () => {
    const values = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
    const cuts = fc.array(fc.nat(3000), { maxLength: 20 });
    fc.assert(
      fc.property(values, cuts, (given, positions) => {
        const text = given
          .map((value) => `VA ${value.length} f1\r\n${Buffer.from(value).toString("latin1")}\r\n`)
          .join("EN\r\n");
        const whole = Buffer.from(text, "latin1");
        const ends = [...positions.map((at) => Math.min(at, whole.length)), whole.length].sort((a, b) => a - b);
        const chunks = ends.map((end, i) => whole.subarray(i === 0 ? 0 : ends[i - 1], end));
        const got = parse(chunks).flatMap((one) => (one.value === undefined ? [] : [[...one.value]]));
        expect(got).toEqual(given.map((value) => [...value]));
      }),
    );
  });
});

test("a value of many chunks is whole", () => {
  const value = Buffer.alloc(3_000_000, "0123456789\r\n");
  const whole = Buffer.concat([Buffer.from(`VA ${value.length} t5\r\n`), value, Buffer.from("\r\nEN\r\n")]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < whole.length; at += 65_536) chunks.push(whole.subarray(at, at + 65_536));
  const [first, second, ...rest] = parse(chunks);
  expect(first?.value?.equals(value)).toBe(true);
  expect(second?.status).toBe("EN");
  expect(rest).toEqual([]);
});

test("a value does not change with the chunk it came in", () => {
  const chunk = Buffer.from("VA 3\r\nabc\r\n");
  const [got] = parse([chunk]);
  chunk.fill(0);
  expect(got?.value?.toString()).toBe("abc");
});

test("every reply has the same fields in the same order", () => {
  const shapes = new Set(parse([Buffer.from(TEXT, "latin1")]).map((one) => Object.keys(one).join()));
  expect(shapes.size).toBe(1);
});

test("stop() holds even within a chunk", () => {
  const replies: Reply[] = [];
  const parser = new ReplyParser((one) => {
    replies.push(one);
    parser.stop();
  });
  parser.push(Buffer.from("HD\r\nEN\r\n"));
  parser.push(Buffer.from("NF\r\n"));
  expect(replies.map((one) => one.status)).toEqual(["HD"]);
});

describe("what is not the protocol is refused, and nothing is delivered after it", () => {
  test.each([
    ["HTTP/1.1 400 Bad Request\r\n", "an unknown reply"],
    ["\r\n", "an unknown reply"],
    ["\n", "a line without CR LF"],
    ["HD\n", "a line without CR LF"],
    ["HD\rxx\r\n", "an unknown reply"],
    ["hd\r\n", "an unknown reply"],
    ["VA\r\n", "impossible size"],
    ["VA \r\n", "impossible size"],
    ["VA x\r\n", "no digit"],
    ["VA -1\r\n", "no digit"],
    ["VA 99999999999999999999\r\n", "impossible size"],
    ["VA 1 fx\r\na\r\n", "no digit"],
    ["VA 1 f\r\na\r\n", "a flag without its number"],
    ["HD c1234567890123456x\r\n", "no digit"],
    ["VA 3\r\nabcd\r\n", "does not end where its size says"],
    ["VA 3\r\nabc\rx", "does not end where its size says"],
    ["VALUE k 0 1\r\n", "an unknown reply"],
    ["STAT pid 1\r\n", "an unknown reply"],
    [`ERROR ${"x".repeat(MAX_LINE_BYTES)}\r\n`, "a line of more than"],
    ["x".repeat(MAX_LINE_BYTES + 1), "a line of more than"],
  ])("%j", (text, why) => {
    for (const chunks of [[text], [...text]]) {
      const { message, replies } = refusal(...chunks);
      expect(message).toContain(why);
      expect(replies).toBe(0);
    }
  });

  test("after good replies in the same chunk, those are delivered", () => {
    expect(refusal("HD\r\nEN\r\ngarbage\r\n")).toMatchObject({ replies: 2 });
  });

  test("the message shows a short excerpt only", () => {
    expect(refusal(`${"secret".repeat(100)}\r\n`).message.length).toBeLessThan(100);
  });
});

describe("values as text", () => {
  const text = "é".repeat(30);
  const bytes = Buffer.concat([
    Buffer.from(`VA ${Buffer.byteLength(text)} f0\r\n${text}\r\nVA 2 f4\r\nab\r\nVA 0 f0\r\n\r\nHD\r\n`),
  ]);
  const parseText = (chunks: readonly Buffer[]) => {
    const replies: Reply[] = [];
    const parser = new ReplyParser(
      (one) => replies.push(one),
      (flags) => flags === 0,
    );
    const memory = Buffer.alloc(bytes.length + 10, "x");
    for (const chunk of chunks) {
      chunk.copy(memory);
      parser.push(memory, chunk.length); // the same memory again and again
    }
    memory.fill("!");
    return replies.map(({ status, value, text: asText }) => ({ status, value, text: asText }));
  };

  test("come where they are wanted, cut anywhere, from memory that is used again", () => {
    const expected = [
      { status: "VA", value: undefined, text },
      { status: "VA", value: Buffer.from("ab"), text: undefined },
      { status: "VA", value: undefined, text: "" },
      { status: "HD", value: undefined, text: undefined },
    ];
    expect(parseText([bytes])).toStrictEqual(expected);
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(parseText([bytes.subarray(0, cut), bytes.subarray(cut)])).toStrictEqual(expected);
    }
  });

  test("that do not end where their size says are refused", () => {
    const parser = new ReplyParser(
      () => {},
      () => true,
    );
    expect(() => parser.push(Buffer.from("VA 2 f0\r\nabc\r\n"))).toThrow("does not end where its size says");
  });
});
