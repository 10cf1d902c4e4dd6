/** zstd, which Node has from 22.15 and 23.8 on: used where it is there, refused in words where it is not. This run tests what its Node has. */
import * as zlib from "node:zlib";
import { expect, test } from "vitest";
import { Codec } from "../../src/client/codec.ts";
import { createClient } from "../../src/index.ts";

const HAS_ZSTD = "zstdCompressSync" in zlib;
/** `"x".repeat(100)` by `zstd`. */
const PACKED = Buffer.from("28b52ffd206445000010787801003f012c", "hex");

test(`this Node (${process.version}) ${HAS_ZSTD ? "has zstd: values go and come" : "has no zstd: it is refused, by option and by value"}`, async () => {
  const codec = new Codec(undefined, { algorithm: "zstd", threshold: 10 });
  const packed = () => codec.encode("x".repeat(5_000), "k");
  if (HAS_ZSTD) {
    const { data, flags } = packed();
    expect(flags).toBe(0x30000);
    expect(data.length).toBeLessThan(100);
    expect(new Codec().decode(data, flags)).toBe("x".repeat(5_000));
    expect(new Codec().decode(PACKED, 0x30000)).toBe("x".repeat(100));
    return;
  }
  expect(packed).toThrow(/zstd needs a newer Node/);
  expect(() => new Codec().decode(PACKED, 0x30000)).toThrow(/compressed with zstd, which .* has not/);
  const options = { servers: ["127.0.0.1:1"], compress: { algorithm: "zstd" } } as const;
  await expect(createClient(options)).rejects.toMatchObject({ code: "INVALID_OPTION" });
});
