/**
 * The binary protocol's numbers, and requests and responses as memjs makes and reads them.
 * Source: doc/protocol-binary.txt and protocol_binary.h of memcached 1.6.18.
 */
import { type BinaryResponse, Utils } from "memjs";
import { RingshiftError } from "../errors.ts";

export type { BinaryResponse };

export const OPCODE = {
  get: 0x00,
  set: 0x01,
  add: 0x02,
  replace: 0x03,
  delete: 0x04,
  increment: 0x05,
  decrement: 0x06,
  flush: 0x08,
  noop: 0x0a,
  version: 0x0b,
  append: 0x0e,
  prepend: 0x0f,
  stat: 0x10,
  getAndTouch: 0x1d,
} as const;

export const STATUS = {
  ok: 0x00,
  notFound: 0x01,
  exists: 0x02,
  tooLarge: 0x03,
  invalid: 0x04,
  notStored: 0x05,
  notNumeric: 0x06,
  authError: 0x20,
  unknownCommand: 0x81,
  outOfMemory: 0x82,
} as const;

const RESPONSE_MAGIC = 0x81;
const CAS_AT = 16;
const EMPTY = Buffer.alloc(0);

export interface BinaryRequest {
  readonly opcode: number;
  readonly key: Buffer;
  readonly extras: Buffer;
  readonly value: Buffer;
  /** 0n: whatever is there. */
  readonly cas: bigint;
}

export function request(opcode: number, parts: Partial<Omit<BinaryRequest, "opcode">> = {}): BinaryRequest {
  return { opcode, key: EMPTY, extras: EMPTY, value: EMPTY, cas: 0n, ...parts };
}

/** The request's bytes; its response carries the same number. */
export function encode({ opcode, key, extras, value, cas }: BinaryRequest, opaque: number): Buffer {
  const bytes = Utils.makeRequestBuffer(opcode, key, extras, value, opaque);
  if (cas !== 0n) bytes.writeBigUInt64BE(cas, CAS_AT);
  return bytes;
}

/** memjs checks neither: what came back has to be a response to that request. */
export function answers({ header }: BinaryResponse, { opcode }: Pick<BinaryRequest, "opcode">): boolean {
  return header.magic === RESPONSE_MAGIC && header.opcode === opcode;
}

/** What memjs says when a server refuses username and password, or wants some. */
export function isAuthFailure(error: unknown): boolean {
  return typeof error === "string" && error.includes("authentication");
}

/** Of the text that a response with an error status has for a value. */
export function refusal(node: string, what: string, { header, val }: BinaryResponse): RingshiftError {
  const text = val.toString("latin1").slice(0, 100);
  return new RingshiftError("SERVER_ERROR", `${node}: ${what} was answered 0x${header.status.toString(16)} ${text}`, {
    node,
  });
}
