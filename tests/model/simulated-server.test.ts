/** The simulated Memcached and the source of chance: what they stand for. */
import { describe, expect, it } from "vitest";
import { PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { Random } from "../../src/model/random.ts";
import { SimServer } from "../../src/model/server.ts";
import { addDelta } from "../../src/model/texts.ts";
import { TtlWatch } from "../../src/model/ttl.ts";

describe("the simulated memcached", () => {
  const data = Buffer.from("1000");
  const make = () =>
    new SimServer(
      "a",
      () => 0,
      0,
      () => {},
    );

  it("answers as memcached 1.6.18 does", () => {
    const server = make();
    const status = (line: string, value?: Buffer) => server.execute({ line, data: value }).status;
    expect(status("ms k 4 T0 F0 MR C5", data)).toBe("NF");
    expect(status("ms k 4 T0 F0 MA C5", data)).toBe("NS");
    expect(status("ms k 4 T0 F0 C5", data)).toBe("NF");
    expect(status("ms k 4 T0 F0 ME", data)).toBe("HD");
    expect(status("ms k 4 T0 F0 ME", data)).toBe("NS");
    expect(status("ms k 4 T0 F0 MA C99", data)).toBe("EX");
    expect(server.execute({ line: "ma k D1 v MD" }).value?.toString()).toBe("999");
    expect(server.execute({ line: "mg k v" }).value?.toString()).toBe("999 ");
    expect(status("add p 1381192776 5 0", Buffer.alloc(0))).toBe("STORED");
    expect(status("ma p D1 v")).toBe("CLIENT_ERROR");
    expect(status("ms p 1 T0 F0 MA", Buffer.from("7"))).toBe("HD");
    expect(server.execute({ line: "mg p f t" })).toMatchObject({ flags: 1_381_192_776, ttl: 5 });
  });

  it("counts like memcached", () => {
    expect(addDelta("1000", 1n, true)).toBe("999 ");
    expect(addDelta("999 7", 1n, false)).toBe("1000 ");
    expect(addDelta("9", 1n, false)).toBe("10");
    expect(addDelta("3", 5n, true)).toBe("0");
    expect(addDelta("x", 1n, false)).toBeUndefined();
    expect(addDelta(String(2n ** 64n - 1n), 1n, false)?.trimEnd()).toBe("0");
  });

  it("draws the same numbers from the same seed", () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (random) => () =>
            random.next()
        )(new Random(seed)),
      );
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });

  it("sees a fill that lengthens a value's life", () => {
    const [source, target] = [make(), make()];
    const watch = new TtlWatch();
    source.execute({ line: "ms k 4 T2 F0", data });
    expect(watch.running(source, { line: "mg k v t f c", data: undefined }, 0, 0)).toBeUndefined();
    target.execute({ line: `add k ${PLACEHOLDER_FLAGS} 5 0`, data: Buffer.alloc(0) });
    const cas = target.execute({ line: "mg k c", data: undefined }).cas;
    const fill = (seconds: number) => watch.running(target, { line: `cas k 0 ${seconds} 4 ${cas}`, data }, 0, 0);
    expect(fill(2)).toBeUndefined();
    expect(fill(3)).toBeUndefined();
    expect(fill(9)).toContain("k = 1000");
    expect(fill(0)).toContain("Infinity");
  });

  it("loses what a failing `ms` was to replace, and keeps what a failing `cas` was", () => {
    const lost: string[] = [];
    const server = new SimServer(
      "a",
      () => 0,
      0,
      (_, key) => lost.push(key),
    );
    server.itemLimit = 4;
    server.execute({ line: "ms k 4 T0 F0", data });
    const large = Buffer.from("100000");
    expect(server.execute({ line: "cas k 0 0 6 1", data: large }).status).toBe("SERVER_ERROR");
    expect(lost).toEqual([]);
    expect(server.execute({ line: "ms k 6 T0 F0", data: large }).status).toBe("SERVER_ERROR");
    expect(lost).toEqual(["k"]);
  });

  it("counts from 1 again after a restart", () => {
    const server = make();
    server.execute({ line: "ms k 4 T0 F0", data });
    server.execute({ line: "ms k 4 T0 F0", data });
    expect(server.execute({ line: "mg k c", data: undefined }).cas).toBe("2");
    server.restart();
    server.execute({ line: "ms k 4 T0 F0", data });
    expect(server.execute({ line: "mg k c", data: undefined }).cas).toBe("1");
  });
});
