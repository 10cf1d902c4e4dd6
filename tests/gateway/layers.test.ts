import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SRC = fileURLToPath(new URL("../../src", import.meta.url));
const OUTSIDE_FOLDERS = ["gateway", "observer", "config", "dashboard", "cli", "demo"];
const OUTSIDE_PACKAGES = [
  "hono",
  "@hono/node-server",
  "prom-client",
  "pino",
  "zod",
  "yaml",
  "uplot",
  "commander",
  "cli-progress",
];

/** The files of ours and the packages that a file loads, types left out. */
function loaded(entry: string): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    const text = readFileSync(file, "utf8");
    for (const match of text.matchAll(/^(?:import|export)\b(?! type\b)[^;]*?from "([^"]+)";/gm)) {
      const name = match[1]!;
      if (name.startsWith(".")) visit(resolve(dirname(file), name));
      else if (!name.startsWith("node:")) packages.add(name.split("/", name.startsWith("@") ? 2 : 1).join("/"));
    }
  };
  visit(entry);
  return { files, packages };
}

test("importing the client loads nothing of the gateway, the configuration and the command line", () => {
  const { files, packages } = loaded(join(SRC, "index.ts"));
  expect(files.size).toBeGreaterThan(20);
  expect([...packages].filter((name) => OUTSIDE_PACKAGES.includes(name))).toEqual([]);
  expect(
    [...files].map((file) => relative(SRC, file)).filter((file) => OUTSIDE_FOLDERS.includes(file.split("/")[0]!)),
  ).toEqual([]);
});

test("the dashboard's script loads nothing but itself: a browser has nothing else", () => {
  const { files, packages } = loaded(join(SRC, "dashboard/main.ts"));
  expect([...packages]).toEqual([]);
  expect([...files].every((file) => relative(SRC, file).startsWith("dashboard/"))).toBe(true);
});

test("what the server loads of the dashboard are texts", () => {
  const { files } = loaded(join(SRC, "gateway/gateway.ts"));
  const own = [...files].map((file) => relative(SRC, file)).filter((file) => file.startsWith("dashboard/"));
  expect(own.sort()).toEqual(["dashboard/page.ts", "dashboard/styles.ts"]);
});
