/**
 * Commands, which are written in the meta and classic text protocols, as requests of the binary protocol, and its responses as their
 * replies. So rules, commands and the get of the fence after every flush are the same whatever the connection speaks:
 *
 *     { line: "ms k 5 T0 F4 C17", data } ──► SET k, flags 4, cas 17 ──► status 2 ──► { status: "EX" }
 *
 * What has no counterpart (a remaining TTL, stale items, win tokens, quiet forms) is undefined here.
 */
import type { Command, Reply } from "../memcached/exchange.ts";
import { type BinaryRequest, type BinaryResponse, OPCODE, request, STATUS } from "./wire.ts";

export interface Translated {
  readonly request: BinaryRequest;
  /** The reply to the command. */
  read(response: BinaryResponse): Reply;
}

/** Counters are not made by incr itself: with this expiry a miss stays one. */
const DO_NOT_CREATE = 0xffff_ffff;
const NOTHING: Reply = {
  status: "",
  value: undefined,
  flags: undefined,
  cas: undefined,
  ttl: undefined,
  size: undefined,
  won: false,
  stale: false,
  message: "",
};

/** Undefined: the binary protocol has no word for it. */
export function translate({ line, data }: Command): Translated | undefined {
  const [name, key = "", ...rest] = line.split(" ");
  switch (name) {
    case "mg":
      return metaGet(key, rest);
    case "ms":
      return data === undefined ? undefined : metaSet(key, rest.slice(1), data);
    case "md":
      return metaDelete(key, rest);
    case "ma":
      return metaArithmetic(key, rest);
    case "mn":
      return { request: request(OPCODE.noop), read: (response) => reply(response, { [STATUS.ok]: "MN" }) };
    case "set":
    case "add":
    case "replace":
    case "append":
    case "prepend":
    case "cas":
      return data === undefined ? undefined : classic(name, key, rest, data);
    default:
      return undefined;
  }
}

function metaGet(word: string, flags: readonly string[]): Translated | undefined {
  const found = flagsOf(flags, "vfcskbT");
  if (found === undefined) return undefined;
  const key = keyOf(word, found);
  const touch = found.get("T");
  const extras = touch === undefined ? {} : { extras: uint32s(Number(touch)) };
  return {
    request: request(touch === undefined ? OPCODE.get : OPCODE.getAndTouch, { key, ...extras }),
    read: (response) => {
      const answer = reply(response, { [STATUS.ok]: found.has("v") ? "VA" : "HD", [STATUS.notFound]: "EN" });
      if (response.header.status !== STATUS.ok) return answer;
      if (response.key.length !== 0 || response.extras.length !== 4) throw new Error("not the response to a get");
      return {
        ...answer,
        value: found.has("v") ? Buffer.from(response.val) : undefined, // memjs' memory is shared with later responses
        flags: found.has("f") ? response.extras.readUInt32BE(0) : undefined,
        cas: found.has("c") ? casOf(response) : undefined,
        size: found.has("s") ? response.val.length : undefined,
      };
    },
  };
}

const MODES: Readonly<Record<string, number>> = {
  S: OPCODE.set,
  E: OPCODE.add,
  R: OPCODE.replace,
  A: OPCODE.append,
  P: OPCODE.prepend,
};

function metaSet(word: string, flags: readonly string[], value: Buffer): Translated | undefined {
  const found = flagsOf(flags, "TFMCcb");
  const mode = found?.get("M") ?? "S";
  const opcode = MODES[mode];
  if (found === undefined || opcode === undefined) return undefined;
  const cas = BigInt(found.get("C") ?? 0);
  const key = keyOf(word, found);
  const extends_ = mode === "A" || mode === "P";
  const extras = extends_ ? {} : { extras: uint32s(Number(found.get("F") ?? 0), Number(found.get("T") ?? 0)) };
  const statuses: Statuses = {
    [STATUS.ok]: "HD",
    [STATUS.exists]: mode === "E" ? "NS" : "EX",
    [STATUS.notFound]: cas === 0n ? "NS" : "NF",
    [STATUS.notStored]: "NS",
  };
  return {
    request: request(opcode, { key, value, cas, ...extras }),
    read: (response) => ({
      ...reply(response, statuses),
      cas: found.has("c") && response.header.status === STATUS.ok ? casOf(response) : undefined,
    }),
  };
}

function metaDelete(word: string, flags: readonly string[]): Translated | undefined {
  const found = flagsOf(flags, "Cb");
  if (found === undefined) return undefined;
  const statuses: Statuses = { [STATUS.ok]: "HD", [STATUS.notFound]: "NF", [STATUS.exists]: "EX" };
  return {
    request: request(OPCODE.delete, { key: keyOf(word, found), cas: BigInt(found.get("C") ?? 0) }),
    read: (response) => reply(response, statuses),
  };
}

function metaArithmetic(word: string, flags: readonly string[]): Translated | undefined {
  const found = flagsOf(flags, "DMvCb");
  if (found === undefined) return undefined;
  const opcode = found.get("M") === "D" ? OPCODE.decrement : OPCODE.increment;
  const extras = Buffer.alloc(20);
  extras.writeBigUInt64BE(BigInt(found.get("D") ?? 1), 0);
  extras.writeUInt32BE(DO_NOT_CREATE, 16);
  const statuses: Statuses = { [STATUS.ok]: "VA", [STATUS.notFound]: "NF", [STATUS.exists]: "EX" };
  return {
    request: request(opcode, { key: keyOf(word, found), extras, cas: BigInt(found.get("C") ?? 0) }),
    read: (response) => {
      const answer = reply(response, statuses);
      if (response.header.status !== STATUS.ok) return answer;
      return { ...answer, value: Buffer.from(String(response.val.readBigUInt64BE(0)), "latin1") };
    },
  };
}

const CLASSIC: Readonly<Record<string, number>> = { ...OPCODE, cas: OPCODE.set };

/** `<flags> <exptime> <bytes> [<cas>]` */
function classic(name: string, key: string, words: readonly string[], value: Buffer): Translated {
  const [flags, exptime, , cas = "0"] = words;
  const extends_ = name === "append" || name === "prepend";
  const statuses: Statuses = {
    [STATUS.ok]: "STORED",
    [STATUS.exists]: name === "cas" ? "EXISTS" : "NOT_STORED",
    [STATUS.notFound]: name === "cas" ? "NOT_FOUND" : "NOT_STORED",
    [STATUS.notStored]: "NOT_STORED",
  };
  return {
    request: request(CLASSIC[name]!, {
      key: Buffer.from(key, "latin1"),
      value,
      cas: BigInt(cas),
      ...(extends_ ? {} : { extras: uint32s(Number(flags), Number(exptime)) }),
    }),
    read: (response) => reply(response, statuses),
  };
}

type Statuses = Readonly<Record<number, string>>;

/** The statuses that the command may have, else the error they stand for in the text protocol. */
function reply({ header, val }: BinaryResponse, statuses: Statuses): Reply {
  const status = statuses[header.status];
  if (status !== undefined) return { ...NOTHING, status };
  const message = val.toString("latin1");
  switch (header.status) {
    case STATUS.tooLarge:
      return { ...NOTHING, status: "SERVER_ERROR", message: "object too large for cache" };
    case STATUS.invalid:
    case STATUS.notNumeric:
      return { ...NOTHING, status: "CLIENT_ERROR", message };
    case STATUS.unknownCommand:
      return { ...NOTHING, status: "ERROR", message };
    default:
      return { ...NOTHING, status: "SERVER_ERROR", message: message || `status 0x${header.status.toString(16)}` };
  }
}

/** Flags by their letter; undefined when there is one that is not among `known`. */
function flagsOf(words: readonly string[], known: string): Map<string, string> | undefined {
  const found = new Map<string, string>();
  for (const word of words) {
    const letter = word.charAt(0);
    if (letter === "") continue;
    if (!known.includes(letter) || word.startsWith("T-")) return undefined; // it has no expiry in the past
    found.set(letter, word.slice(1));
  }
  return found;
}

/** The key's bytes: as they are, or out of base64. */
function keyOf(word: string, flags: ReadonlyMap<string, string>): Buffer {
  return Buffer.from(word, flags.has("b") ? "base64" : "latin1");
}

function uint32s(...numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [i, number] of numbers.entries()) bytes.writeUInt32BE(number >>> 0, 4 * i);
  return bytes;
}

function casOf({ header }: BinaryResponse): string {
  return String(header.cas.readBigUInt64BE(0));
}
