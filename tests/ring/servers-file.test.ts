import { describe, expect, it } from "vitest";
import { isRingshiftError } from "../../src/errors.ts";
import { parseServersFile, Ring } from "../../src/ring/index.ts";

describe("parseServersFile", () => {
  it("reads ketama's own file", () => {
    const file = "# ketama.servers\n10.0.1.1:11211\t600\n10.0.1.2:11212 \t 300\n\n10.0.1.3:11211\t200\n";
    const entries = parseServersFile(file);
    expect(entries).toEqual([
      { name: "10.0.1.1:11211", weight: 600, address: "10.0.1.1:11211" },
      { name: "10.0.1.2:11212", weight: 300, address: "10.0.1.2:11212" },
      { name: "10.0.1.3:11211", weight: 200, address: "10.0.1.3:11211" },
    ]);
    expect(new Ring(entries, { compat: "libketama" }).size).toBe(472); // floors of 65.4, 32.7 and 21.8 rounds
  });

  it("keeps the name as written and completes the address", () => {
    expect(parseServersFile("memcached-1 1")).toEqual([
      { name: "memcached-1", weight: 1, address: "memcached-1:11211" },
    ]);
    expect(parseServersFile("shard-a .5 10.0.0.9")).toEqual([
      { name: "shard-a", weight: 0.5, address: "10.0.0.9:11211" },
    ]);
    expect(parseServersFile("shard/a 1.5 db9:11300")).toEqual([{ name: "shard/a", weight: 1.5, address: "db9:11300" }]);
  });

  it("reads IPv6 in brackets", () => {
    expect(parseServersFile("[2001:db8::1] 1\n[::1]:11212 1\nsix 1 [::2]")).toEqual([
      { name: "[2001:db8::1]", weight: 1, address: "[2001:db8::1]:11211" },
      { name: "[::1]:11212", weight: 1, address: "[::1]:11212" },
      { name: "six", weight: 1, address: "[::2]:11211" },
    ]);
  });

  it("takes comments, blank lines, indents, CRLF and a byte order mark", () => {
    expect(
      parseServersFile("\uFEFF# all\r\n\r\n  a:1 2 # the big one\r\n\t\r\nb:1 1#x").map(({ name }) => name),
    ).toEqual(["a:1", "b:1"]);
  });

  it.each([
    ["a:1 1\nb:1", 2, "no weight"],
    ["a:1 1\n\n# c\nb:1 x", 4, 'weight "x"'],
    ["a:1 0", 1, 'weight "0"'],
    ["a:1 -1", 1, 'weight "-1"'],
    ["a:1 1e3", 1, 'weight "1e3"'],
    ["a:1 Infinity", 1, 'weight "Infinity"'],
    ["a:1 1 b:1 c", 1, "4 columns"],
    ["a:1 1\na:1 2", 2, "line 1 already"],
    ["a,b 1", 1, 'node name "a,b"'],
    ["constructor 1", 1, '"constructor"'],
    ["a:0 1", 1, '"a:0" is no address'],
    ["a:65536 1", 1, '"a:65536" is no address'],
    ["::1 1", 1, '"::1" is no address'],
    ["a 1 http://b:1", 1, "is no address"],
  ])("names the line of an error: %j", (file, line, part) => {
    expect(() => parseServersFile(file)).toThrow(
      expect.toSatisfy(
        (error) =>
          isRingshiftError(error, "INVALID_OPTION") &&
          error.message.includes(`line ${line}:`) &&
          error.message.includes(part),
      ),
    );
  });

  it.each(["", "\n# nobody\n"])("refuses a file without servers: %j", (file) => {
    expect(() => parseServersFile(file)).toThrow(
      expect.toSatisfy((error) => isRingshiftError(error, "INVALID_OPTION")),
    );
  });
});
