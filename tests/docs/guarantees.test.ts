/** Every promise in docs/guarantees.md names its tests, and every test that it names exists. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TEXT = readFileSync(join(ROOT, "docs/guarantees.md"), "utf8");

interface Promised {
  readonly text: string;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
}

/** The items of the lists, each on one line. */
const PROMISES: readonly Promised[] = [...TEXT.matchAll(/^- [\s\S]*?(?=\n\n|\n- |$(?![\s\S]))/gm)].map(([item]) => {
  const text = item.replace(/\s+/g, " ");
  const tests = [...text.matchAll(/`(tests\/[^`]+)` "([^"]+)"/g)].map(([, file, name]) => ({
    file: file!,
    name: name!,
  }));
  return { text, tests };
});

const NAMED = PROMISES.flatMap(({ tests }) => tests);
const SCRIPTS: readonly string[] = [...TEXT.matchAll(/`npm run (\S+?)(?: -- (\S+))?`/g)].map(([, script]) => script!);

/** True when the file calls `test` or `it`, or one of their tables, with this name. */
function declares(source: string, name: string): boolean {
  const quoted = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(?:\\b(?:test|it)|\\))\\(\\s*"${quoted}"`).test(source);
}

describe("docs/guarantees.md", () => {
  test("is read: its promises are there", () => {
    expect(PROMISES.length).toBeGreaterThan(30);
    expect(NAMED.length).toBeGreaterThan(50);
  });

  test("has no promise without a test", () => {
    expect(PROMISES.filter(({ tests }) => tests.length === 0).map(({ text }) => text)).toEqual([]);
  });

  test("mentions tests in no other form than the one that is checked here", () => {
    expect(TEXT.match(/`tests\/(?!docs\/)[^`]+`/g)).toHaveLength(NAMED.length);
  });

  test.each(NAMED)('$file: "$name" exists', ({ file, name }) => {
    expect(existsSync(join(ROOT, file)), file).toBe(true);
    expect(declares(readFileSync(join(ROOT, file), "utf8"), name)).toBe(true);
  });

  test("names scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: object };
    expect(SCRIPTS.length).toBeGreaterThan(0);
    expect(SCRIPTS.filter((script) => !(script in scripts))).toEqual([]);
  });

  test("and a name that no test has would be found out", () => {
    const source = 'test("one", () => {}); test.each([1])("two %s", () => {}); it(\n  "three?", () => {});';
    expect(["one", "two %s", "three?"].map((name) => declares(source, name))).toEqual([true, true, true]);
    expect(["three", "On", "(", "test"].map((name) => declares(source, name))).toEqual([false, false, false, false]);
  });
});
