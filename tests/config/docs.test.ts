import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { LEAVES, settingsSchema } from "../../src/config/schema.ts";

const TEXT = readFileSync(fileURLToPath(new URL("../../docs/configuration.md", import.meta.url)), "utf8");

test("docs/configuration.md lists every setting with its variable, default and description, and no other", () => {
  const defaults = settingsSchema.parse({}) as Readonly<Record<string, unknown>>;
  const rows = LEAVES.map(({ path, variable, description }) => {
    const value = path
      .split(".")
      .reduce<unknown>((tree, name) => (tree as Readonly<Record<string, unknown>>)[name], defaults);
    const shown = value === undefined ? "" : Array.isArray(value) ? "none" : `\`${String(value)}\``;
    return `| \`${path}\` | \`${variable}\` | ${shown} | ${description} |`;
  });
  expect(TEXT.split("\n").filter((line) => /^\| `[^|]*` \| `RINGSHIFT_/.test(line))).toEqual(rows);
});
