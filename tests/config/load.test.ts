import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadSettings } from "../../src/config/load.ts";
import { LEAVES } from "../../src/config/schema.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ringshift-config-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function yaml(text: string): string {
  const file = join(folder, "ringshift.yaml");
  writeFileSync(file, text);
  return file;
}
/** Lists of lists, 9 ** 3 long. */
const ALIASES = ["&a [x]", "&b", "&c", "&d"]
  .map((anchor, i) => {
    const before = "_abc"[i];
    return `\n  - ${i === 0 ? anchor : `${anchor} [${Array(9).fill(`*${before}`).join(", ")}]`}`;
  })
  .join("");
const load = (text: string, env = {}, flags = {}) => loadSettings({ file: yaml(text), env, flags });

describe("sources", () => {
  test("an empty file gives the defaults", async () => {
    const { settings, nodes, origins } = await load("");
    expect(settings.data).toEqual({ host: "127.0.0.1", port: 8000, maxBodyBytes: 4194304 });
    expect(settings.admin.port).toBe(9999);
    expect(nodes).toBeUndefined();
    expect(new Set(origins.values())).toEqual(new Set(["default"]));
  });

  test("file, environment and flags win in this order, each with its origin", async () => {
    const text = "redis: redis://file:1\nnamespace: file\ndata:\n  port: 1\n  host: 0.0.0.0\n";
    const env = {
      RINGSHIFT_NAMESPACE: "env",
      RINGSHIFT_DATA_PORT: "2",
      RINGSHIFT_SPARES: "a:1, b",
      RINGSHIFT_OBSERVER_POLICY: "",
    };
    const { settings, origins } = await load(text, env, { "data.port": "3" });
    expect(settings).toMatchObject({ redis: "redis://file:1", namespace: "env", data: { port: 3, host: "0.0.0.0" } });
    expect(settings.spares).toEqual([{ address: "a:1" }, { address: "b:11211" }]);
    const file = join(folder, "ringshift.yaml");
    const of = (path: string) => origins.get(path);
    expect([
      of("redis"),
      of("namespace"),
      of("data.port"),
      of("data.host"),
      of("spares"),
      of("observer.policy"),
    ]).toEqual([`${file}:1`, "RINGSHIFT_NAMESPACE", "--data-port", `${file}:5`, "RINGSHIFT_SPARES", "default"]); // prettier-ignore
  });

  test("every setting has a variable of its own", () => {
    expect(new Set(LEAVES.map((leaf) => leaf.variable)).size).toBe(LEAVES.length);
    expect(LEAVES.find((leaf) => leaf.path === "admin.requestsPerSecond")?.variable).toBe(
      "RINGSHIFT_ADMIN_REQUESTS_PER_SECOND",
    );
    expect(LEAVES.every((leaf) => leaf.path.split(".").length <= 2)).toBe(true);
  });

  test("a missing file is an error only where it was asked for", async () => {
    await expect(loadSettings({ file: join(folder, "none.yaml"), env: {} })).rejects.toThrow("cannot be read");
  });

  test("nodes as addresses or objects, in their one spelling", async () => {
    const { nodes } = await load("nodes:\n  - cache-1\n  - address: cache-2:11212\n    name: b\n    vnodes: 80\n");
    expect(nodes).toEqual([{ address: "cache-1:11211" }, { address: "cache-2:11212", name: "b", vnodes: 80 }]);
  });

  test("a section or a list with nothing behind its name is an empty one", async () => {
    const { settings, nodes } = await load("nodes: [a]\nspares:\nobserver:\n");
    expect([nodes, settings.spares, settings.observer.policy]).toEqual([[{ address: "a:11211" }], [], "report"]);
  });

  test("nodes from a servers file beside the configuration", async () => {
    writeFileSync(join(folder, "servers"), "# ketama\n10.0.0.1:11211 60\nb 2 10.0.0.2:1\n");
    const { nodes, files } = await load("serversFile: servers");
    expect(nodes?.[1]).toEqual({ name: "b", address: "10.0.0.2:1", weight: 2 });
    expect(files).toEqual([join(folder, "ringshift.yaml"), join(folder, "servers")]);
  });
});

describe("refusals name the place and what helps", () => {
  test.each([
    ["redsi: x", /ringshift.yaml:1: unknown setting redsi; did you mean redis\?/],
    ["\n\ndata:\n  prot: 1", /ringshift.yaml:4: unknown setting data.prot; did you mean port\?/],
    ["observer:\n  zebra: 1", /unknown setting observer.zebra; there are policy, intervalMs/],
    ["data: 8000", /ringshift.yaml:1: data is a map of settings/],
    ["data:\n  port: 70000", /ringshift.yaml:2: data.port: /],
    ["data:\n  port: many", /ringshift.yaml:2: data.port: .*expected number/],
    ["observer:\n  policy: guess", /observer.policy: .*"report"\|"scale"/],
    ["observer: {policy: Scale}", /observer.policy: .*did you mean scale\?/],
    ["redis: redis://a\n---\nredis: redis://b", /ringshift.yaml:2: the file is one document/],
    ["- a\n- b", /the file is a map of settings/],
    ["nodes:\n\t- a", /ringshift.yaml:2: Tabs are not allowed/],
    ["data: &a {port: 1}\nadmin: *a", /ringshift.yaml:2: admin is a map of settings/],
    ["data: {__proto__: {port: 1}}", /unknown setting data.__proto__/],
    ["nodes: []", /nodes: .*at least|nodes: Too small/],
    ["nodes:\n  - address: a\n    wieght: 2", /ringshift.yaml:1: nodes.0: unknown key wieght; did you mean weight\?/],
    ["nodes:\n  - addres: a", /nodes.0: unknown key addres; did you mean address\?/],
    ["nodes: [{weight: 2}]", /nodes.0.address: /],
    ["redis: redis://a\nnodes: [a, a]", /^nodes \(.*ringshift.yaml:2\): node "a:11211" is listed twice/],
    ["nodes: [a]\nspares: [a]", /^nodes \(.*ringshift.yaml:1\) and spares \(.*ringshift.yaml:2\): .*listed twice/],
    ["nodes:", /ringshift.yaml:1: nodes: Too small/],
    ["nodes:\n  - {address: a, weight: 1, vnodes: 2}", /give weight or vnodes, not both/],
    ["nodes: ['a b']", /nodes.0: not a server address/],
    ["nodes: [a]\nserversFile: s", /nodes \(.*:1\) and serversFile \(.*:2\): give one/],
    ["serversFile: nowhere", /nowhere cannot be read/],
    ["redis: redis://a\nnamespace: 'a b'", /ringshift.yaml:2: namespace "a b"/],
    [
      "observer:\n  minNodes: 5\n  maxNodes: 4",
      /^observer.minNodes \(.*ringshift.yaml:2\) 5 is above observer.maxNodes \(.*ringshift.yaml:3\) 4$/,
    ],
    ["observer: {minNodes: 17}", /minNodes \(.*ringshift.yaml:1\) 17 is above observer.maxNodes \(default\) 16$/],
    ["a: [", /ringshift.yaml:1: /],
    ["redis: redis://a\nspares: *there", /ringshift.yaml:2: Unresolved alias .*: there/],
    [`redis: redis://a\nspares:${ALIASES}`, /ringshift.yaml:2: Excessive alias count/],
    ["redis: redis://a\nredis: redis://b", /ringshift.yaml:2: .*unique/],
  ])("%j", async (text, message) => {
    await expect(load(text)).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringMatching(message) });
  });

  test("a bad variable is named", async () => {
    await expect(load("", { RINGSHIFT_DATA_PORT: "8o" })).rejects.toThrow(/^RINGSHIFT_DATA_PORT: data.port: /);
    await expect(load("", {}, { "data.prot": "1" })).rejects.toThrow("unknown setting data.prot");
  });
});
