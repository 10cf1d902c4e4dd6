/** Commands as binary requests, and the responses as their replies. */
import { expect, test } from "vitest";
import { translate } from "../../src/binary/translate.ts";
import { type BinaryResponse, OPCODE, STATUS } from "../../src/binary/wire.ts";
import * as commands from "../../src/memcached/commands.ts";
import type { Command } from "../../src/memcached/exchange.ts";

const VALUE = Buffer.from("value");

function answered(status: number, parts: Partial<BinaryResponse> = {}): BinaryResponse {
  const header = {
    magic: 0x81,
    opcode: 0,
    status,
    totalBodyLength: 0,
    opaque: 0,
    cas: Buffer.from("0000000000000109", "hex"),
  };
  const none = Buffer.alloc(0);
  return { header, key: none, extras: none, val: none, ...parts };
}

const status = (command: Command, code: number) => translate(command)!.read(answered(code)).status;

test("a get: value, flags, cas and size, each where asked for", () => {
  const { request, read } = translate(commands.metaGet("k", "v f c s"))!;
  expect(request).toMatchObject({ opcode: OPCODE.get, key: Buffer.from("k") });
  const found = answered(STATUS.ok, { extras: Buffer.from([1, 0, 0, 2]), val: VALUE });
  expect(read(found)).toMatchObject({ status: "VA", value: VALUE, flags: 0x0100_0002, cas: "265", size: 5 });
  expect(translate(commands.metaGet("k"))!.read(found)).toMatchObject({
    status: "HD",
    value: undefined,
    cas: undefined,
  });
  expect(read(answered(STATUS.notFound)).status).toBe("EN");
});

test("a touch reads and gives the TTL", () => {
  const { request } = translate(commands.metaTouch("k", 300, "v f c"))!;
  expect(request).toMatchObject({ opcode: OPCODE.getAndTouch, extras: Buffer.from([0, 0, 1, 44]) });
});

test("keys are bytes, those in base64 too", () => {
  const bytes = "\u00d0\u00ba a\r\n";
  expect(translate(commands.metaGet("\u00d0\u00ba", "v"))!.request.key).toEqual(Buffer.from("к"));
  expect(translate(commands.metaGet(bytes, "v"))!.request.key).toEqual(Buffer.from(bytes, "latin1"));
  expect(translate(commands.metaSet(bytes, VALUE, { flags: 0, ttl: 0 }))!.request.key).toEqual(
    Buffer.from(bytes, "latin1"),
  );
});

test.each([
  ["S", OPCODE.set, ["HD", "EX", "NS", "NS"]],
  ["E", OPCODE.add, ["HD", "NS", "NS", "NS"]],
  ["R", OPCODE.replace, ["HD", "EX", "NS", "NS"]],
  ["A", OPCODE.append, ["HD", "EX", "NS", "NS"]],
  ["P", OPCODE.prepend, ["HD", "EX", "NS", "NS"]],
] as const)("a set in mode %s", (mode, opcode, statuses) => {
  const command = commands.metaSet("k", VALUE, { mode, flags: 4, ttl: 60 });
  const extras = mode === "A" || mode === "P" ? Buffer.alloc(0) : Buffer.from([0, 0, 0, 4, 0, 0, 0, 60]);
  expect(translate(command)!.request).toMatchObject({ opcode, extras, value: VALUE, cas: 0n });
  const codes = [STATUS.ok, STATUS.exists, STATUS.notFound, STATUS.notStored];
  expect(codes.map((code) => status(command, code))).toEqual(statuses);
});

test("a set by CAS: gone is not found, and the new number is told where asked for", () => {
  const command = commands.metaSet("k", VALUE, { flags: 0, ttl: 0, cas: "18446744073709551615", returnCas: true });
  expect(translate(command)!.request.cas).toBe(2n ** 64n - 1n);
  expect(status(command, STATUS.notFound)).toBe("NF");
  expect(translate(command)!.read(answered(STATUS.ok))).toMatchObject({ status: "HD", cas: "265" });
});

test("the classic storage commands, with their own words", () => {
  const cas = commands.classicCas("k", 4, 60, "9", VALUE);
  expect(translate(cas)!.request).toMatchObject({ opcode: OPCODE.set, cas: 9n, value: VALUE });
  expect([STATUS.ok, STATUS.exists, STATUS.notFound].map((code) => status(cas, code))).toEqual([
    "STORED",
    "EXISTS",
    "NOT_FOUND",
  ]);
  const add = commands.classicAdd("k", 0, 0, VALUE);
  expect([STATUS.ok, STATUS.exists].map((code) => status(add, code))).toEqual(["STORED", "NOT_STORED"]);
  expect(translate(commands.classicAppend("k", VALUE))!.request).toMatchObject({ opcode: OPCODE.append, value: VALUE });
});

test("delete and count", () => {
  const remove = commands.metaDelete("k", { cas: "3" });
  expect(translate(remove)!.request).toMatchObject({ opcode: OPCODE.delete, cas: 3n });
  expect([STATUS.ok, STATUS.notFound, STATUS.exists].map((code) => status(remove, code))).toEqual(["HD", "NF", "EX"]);
  const count = commands.metaArithmetic("k", { delta: 2n ** 64n - 1n, decrement: true });
  const { request, read } = translate(count)!;
  expect(request.opcode).toBe(OPCODE.decrement);
  expect(request.extras.toString("hex")).toBe(`${"f".repeat(16)}${"0".repeat(16)}ffffffff`);
  const sum = read(answered(STATUS.ok, { val: Buffer.from("ffffffffffffffff", "hex") }));
  expect(sum).toMatchObject({ status: "VA", value: Buffer.from("18446744073709551615") });
  expect(status(count, STATUS.notNumeric)).toBe("CLIENT_ERROR");
});

test("errors are those of the text protocol", () => {
  const set = commands.metaSet("k", VALUE, { flags: 0, ttl: 0 });
  expect(translate(set)!.read(answered(STATUS.tooLarge))).toMatchObject({
    status: "SERVER_ERROR",
    message: /too large/,
  });
  expect(status(set, STATUS.outOfMemory)).toBe("SERVER_ERROR");
  expect(status(set, STATUS.unknownCommand)).toBe("ERROR");
  expect(status(set, STATUS.invalid)).toBe("CLIENT_ERROR");
});

test.each([
  commands.metaGet("k", "v t"),
  commands.metaGet("k", "l h"),
  commands.metaGet("k", "v R30"),
  commands.metaGet("k", "N30 v"),
  commands.metaGet("k", "v q"),
  commands.metaDelete("k", { staleTtl: 30 }),
  commands.metaTouch("k", -1),
  { line: "version" },
])("$line has no binary form", (command) => {
  expect(translate(command)).toBeUndefined();
});

test("what is no response to a get is not read as one", () => {
  const { read } = translate(commands.metaGet("k", "v f"))!;
  expect(() => read(answered(STATUS.ok, { val: VALUE }))).toThrow();
  expect(() => translate(commands.metaArithmetic("k", { delta: 1 }))!.read(answered(STATUS.ok))).toThrow();
});
