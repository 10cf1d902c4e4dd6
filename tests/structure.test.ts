/**
 * Dependencies point inward. Read from the import statements, so that a wrong one fails here with its name.
 *
 *   errors ◄── ring, memcached ◄── binary, topology ◄── protocol, keyindex ◄── client, migration ◄── index ◄── everything else
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SRC = join(ROOT, "src");

interface Import {
  /** Path below src. */
  readonly from: string;
  /** Path below src, or the name of a package. */
  readonly to: string;
  readonly own: boolean;
  /** Gone at run time. */
  readonly typeOnly: boolean;
}

const FILES = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"));
const IMPORTS = FILES.flatMap(importsOf);

function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), "utf8");
  const found: Import[] = [];
  const statement = /^(?:import|export)\s+(type\s)?(?:[^;"']*?\sfrom\s+)?"([^"]+)"|\bimport\("([^"]+)"\)/gm;
  for (const [, typeOnly, named, dynamic] of text.matchAll(statement)) {
    const target = named ?? dynamic!;
    const own = target.startsWith(".");
    const to = own ? posix.join(posix.dirname(file), target) : target;
    found.push({ from: file, to, own, typeOnly: typeOnly !== undefined });
  }
  return found;
}

/** The folder of a file, or the file itself when it stands in src. */
const folderOf = (file: string) => file.split("/")[0]!;
const edge = ({ from, to }: Import) => `${from} -> ${to}`;

/** What each inner folder may import of ours, besides itself. Folders that are not here stand outside. */
const INNER: Readonly<Record<string, readonly string[]>> = {
  "errors.ts": [],
  ring: ["errors.ts"],
  memcached: ["errors.ts"],
  binary: ["errors.ts", "memcached"],
  topology: ["errors.ts", "ring", "memcached"],
  keyindex: ["errors.ts", "ring", "topology"],
  protocol: ["errors.ts", "ring", "memcached", "topology", "keyindex"],
  "suggest.ts": [],
  "known-options.ts": ["errors.ts", "suggest.ts"],
  discovery: ["errors.ts", "known-options.ts", "ring", "memcached", "topology", "migration"],
  client: [
    "errors.ts",
    "suggest.ts",
    "known-options.ts",
    "ring",
    "memcached",
    "binary",
    "topology",
    "keyindex",
    "protocol",
    "discovery",
  ],
  migration: ["errors.ts", "known-options.ts", "ring", "memcached", "topology", "keyindex", "protocol"],
  "index.ts": [
    "errors.ts",
    "ring",
    "memcached",
    "topology",
    "keyindex",
    "protocol",
    "client",
    "migration",
    "discovery",
  ],
};

/** Imports that go against the arrows, each for a reason. The list may shrink. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "keyindex/recorder.ts -> protocol/outcome.ts": "a recording under a newer document makes the operation begin again",
  "keyindex/recorder.ts -> protocol/session.ts": "types",
  "keyindex/recorder.ts -> protocol/view.ts": "types",
  "client/create.ts -> migration/change.ts":
    "the first client starts the cluster, with the records a change would make",
  "client/create.ts -> migration/initialise.ts": "the first client starts the cluster",
  "client/options.ts -> migration/change.ts": "a new node: its type and the names of its fields",
  "migration/admin.ts -> client/session.ts": "an operator's handle opens a session as a client does",
};

describe("imports", () => {
  test("are found at all", () => {
    expect(IMPORTS.length).toBeGreaterThan(150);
    expect(IMPORTS.map(edge)).toContain("client/client.ts -> errors.ts");
    expect(IMPORTS.map(edge)).toContain("topology/redis-store.ts -> ioredis");
  });

  test.each(Object.entries(INNER))("of %s point inward", (folder, allowed) => {
    const wrong = IMPORTS.filter(({ from, to, own }) => {
      const target = folderOf(to);
      return own && folderOf(from) === folder && target !== folder && !allowed.includes(target);
    });
    expect(wrong.map(edge).filter((name) => EXCEPTIONS[name] === undefined)).toStrictEqual([]);
  });

  test("of a test helper point nowhere: src/testing is usable alone", () => {
    const wrong = IMPORTS.filter(
      ({ from, to, own }) => folderOf(from) === "testing" && own && folderOf(to) !== "testing",
    );
    expect(wrong.map(edge)).toStrictEqual([]);
  });
});

describe("the pure parts", () => {
  const builtins = (folder: string) =>
    IMPORTS.filter(({ from, to }) => folderOf(from) === folder && to.startsWith("node:")).map(edge);

  test("ring does no I/O", () => {
    for (const name of builtins("ring")) expect(name).toMatch(/ -> node:crypto$/);
  });

  test("protocol has time and chance from its clock alone, and talks to servers through its interfaces", () => {
    const own = FILES.filter((file) => folderOf(file) === "protocol" && file !== "protocol/system-clock.ts");
    const ambient =
      /\b(Date\.now|new Date|performance\.now|Math\.random|setTimeout|setInterval|setImmediate|process\.)/;
    for (const file of own) expect([file, ambient.exec(withoutComments(file))?.[0]]).toStrictEqual([file, undefined]);
    expect(builtins("protocol").filter((name) => !name.startsWith("protocol/system-clock.ts"))).toStrictEqual([]);
  });

  test("the plan is pure: it reads the store it is given", () => {
    expect(IMPORTS.filter(({ from, to }) => from === "migration/plan.ts" && /^node:|ioredis/.test(to))).toStrictEqual(
      [],
    );
  });

  function withoutComments(file: string): string {
    return readFileSync(join(SRC, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
  }
});

describe("importing the package", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  /** What a program that only uses the client needs; the rest is of the command line and the gateway. */
  const NEEDED = ["hashring", "ioredis", "memjs"];
  const unneeded = Object.keys(manifest.dependencies).filter((name) => !NEEDED.includes(name));

  test("by its import statements, needs none of the other packages", () => {
    const reached = new Set<string>();
    const packages = new Set<string>();
    const visit = (file: string) => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const { to, own, typeOnly } of importsOf(file)) {
        if (own && !typeOnly) visit(to);
        else if (!own && !to.startsWith("node:")) packages.add(to);
      }
    };
    visit("index.ts");
    expect(reached.size).toBeGreaterThan(40);
    expect([...packages].filter((name) => !NEEDED.includes(name))).toStrictEqual([]);
  });

  test("loads none of the other packages", () => {
    const hook = `export async function resolve(name, context, next) {
      const found = await next(name, context);
      if (found.url.startsWith("file:")) (await import("node:fs")).writeSync(1, found.url + "\\n");
      return found;
    }`;
    const program = `
      import { register } from "node:module";
      register("data:text/javascript," + encodeURIComponent(${JSON.stringify(hook)}));
      await import(${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)});
    `;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    const loaded = new Set(output.split("\n").map((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]));
    expect(loaded).toContain("ioredis");
    expect(unneeded.filter((name) => loaded.has(name))).toStrictEqual([]);
    const outside = output
      .split("\n")
      .map((url) => /\/dist\/(cli|gateway|demo|bench|config|model|fuzz|chaos|soak)\//.exec(url)?.[1]);
    expect(outside.filter((folder) => folder !== undefined)).toStrictEqual([]);
  });
});
