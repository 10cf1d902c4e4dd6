/**
 * Compression of values, said by bits 16 and 17 of the client flags. Synchronous: a call's bytes are ready when it takes its place in the
 * key's order. At the levels used here a megabyte costs some 10 ms; `threshold` and `compress: false` keep small and packed values out.
 * An item is compressed only where that makes it smaller.
 */
import * as zlib from "node:zlib";
import { RingshiftError, shown } from "../errors.ts";
import { requireKnown } from "../known-options.ts";
import type { Encoded } from "./codec.ts";

export type CompressionAlgorithm = "zlib" | "brotli" | "zstd";

export interface Compression {
  /** Default zlib. zstd needs Node 22.15 or newer, here and wherever the value is read. */
  readonly algorithm?: CompressionAlgorithm | undefined;
  /** Values of fewer bytes stay as they are. Default 1024. */
  readonly threshold?: number | undefined;
}

const KNOWN = ["algorithm", "threshold"] satisfies (keyof Compression)[];
/** The two bits: 1 zlib, 2 brotli, 3 zstd. */
export const FLAG_COMPRESSION = 0x30000;
const DEFAULT_THRESHOLD_BYTES = 1024;
/** What a compressed item may grow to, in bytes: a bound against items made to fill the memory. */
export const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024;
/** brotli's own default, 11, takes a second for a megabyte. */
const BROTLI_QUALITY = 4;

type Transform = (data: Buffer) => Buffer;

interface Method {
  readonly flags: number;
  readonly pack: Transform;
  readonly unpack: Transform;
}

const limit = { maxOutputLength: MAX_DECOMPRESSED_BYTES };
const brotliOptions = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } };
/** Not in Node 20, nor in its types. */
const late = zlib as unknown as Partial<
  Record<"zstdCompressSync" | "zstdDecompressSync", (data: Buffer, options?: object) => Buffer>
>;

const METHODS: Readonly<Record<CompressionAlgorithm, Method | undefined>> = {
  zlib: { flags: 0x10000, pack: (data) => zlib.deflateSync(data), unpack: (data) => zlib.inflateSync(data, limit) },
  brotli: {
    flags: 0x20000,
    pack: (data) => zlib.brotliCompressSync(data, brotliOptions),
    unpack: (data) => zlib.brotliDecompressSync(data, limit),
  },
  zstd:
    late.zstdCompressSync === undefined
      ? undefined
      : {
          flags: 0x30000,
          pack: (data) => late.zstdCompressSync!(data),
          unpack: (data) => late.zstdDecompressSync!(data, limit),
        },
};

/** @throws RingshiftError INVALID_OPTION */
export function checkCompression(compression: Compression): void {
  if (typeof compression !== "object" || compression === null) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `compress is an object, { algorithm: "zlib", threshold: 1024 }, not ${shown(compression)}.`,
    );
  }
  requireKnown("compress", compression, KNOWN);
  const { algorithm = "zlib", threshold } = compression;
  if (typeof algorithm !== "string" || !Object.hasOwn(METHODS, algorithm)) {
    throw new RingshiftError("INVALID_OPTION", `compress.algorithm is zlib, brotli or zstd, not ${shown(algorithm)}.`);
  }
  if (METHODS[algorithm] === undefined) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `compress.algorithm ${algorithm} needs a newer Node than ${process.version}.`,
    );
  }
  if (threshold !== undefined && !(Number.isSafeInteger(threshold) && threshold >= 0)) {
    throw new RingshiftError(
      "INVALID_OPTION",
      `compress.threshold is a number of bytes, 0 or more, not ${shown(threshold)}.`,
    );
  }
}

/** @throws RingshiftError INVALID_OPTION */
export function compress(plain: Encoded, compression: Compression): Encoded {
  checkCompression(compression);
  const { algorithm = "zlib", threshold = DEFAULT_THRESHOLD_BYTES } = compression;
  if (plain.data.length < threshold) return plain;
  const method = METHODS[algorithm]!;
  const data = method.pack(plain.data);
  return data.length < plain.data.length ? { data, flags: plain.flags | method.flags } : plain;
}

/** The bytes as they were before `compress`. @throws RingshiftError PROTOCOL_ERROR */
export function decompress(data: Buffer, flags: number): Buffer {
  const bits = flags & FLAG_COMPRESSION;
  if (bits === 0) return data;
  const name = (["zlib", "brotli", "zstd"] as const)[(bits >>> 16) - 1]!;
  const method = METHODS[name];
  if (method === undefined) {
    throw new RingshiftError(
      "PROTOCOL_ERROR",
      `The item is compressed with ${name}, which ${process.version} has not.`,
    );
  }
  try {
    return method.unpack(data);
  } catch (cause) {
    throw new RingshiftError("PROTOCOL_ERROR", `The item's flags say ${name}, its bytes are not.`, { cause });
  }
}
