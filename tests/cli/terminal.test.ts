/** What is different on a terminal; `script` (Debian's bsdutils) gives the program one. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LocalCluster } from "../../src/testing/index.ts";
import { Cli, MAIN, type Status } from "./support.ts";

let cluster: LocalCluster;
let cli: Cli;

beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 2 });
  cli = new Cli(cluster.redis);
  await cli.json("init", cluster.servers[0]!);
});

afterAll(() => cluster?.stop());

/** Runs on a terminal, types the answer when `prompt` shows, and resolves with what the screen was sent. */
async function onTerminal(args: readonly string[], prompt: RegExp, answer: string) {
  const command = [process.execPath, MAIN, "--redis", cluster.redis.url, ...args].map((word) => `'${word}'`).join(" ");
  // exec: a shell that stays in between (dash) would turn the Ctrl-C it also gets into its own 130
  const child = spawn("script", ["-qec", `exec ${command}`, "/dev/null"]);
  let screen = "";
  let asked = false;
  child.stdout.on("data", (chunk: Buffer) => {
    screen += chunk.toString();
    if (asked || !prompt.test(screen)) return;
    asked = true;
    child.stdin.write(answer);
  });
  const [code] = (await once(child, "close")) as [number];
  return { code, screen };
}

const nodes = async () => (await cli.json<Status>("status")).nodes.map((node) => node.name);
const PROMPT = /Proceed\? \[y\/N\] /;

test.each([
  ["no", "n\r"],
  ["an empty line", "\r"],
  ["the end of the input", "\x04"],
])("a change asks, and %s changes nothing", async (_, answer) => {
  const { code, screen } = await onTerminal(["add-node", cluster.servers[1]!], PROMPT, answer);
  expect(code).toBe(1);
  expect(screen).toContain("[WARNING] Nothing was changed.");
  expect(await nodes()).toEqual([cluster.servers[0]]);
});

test("Ctrl-C at the question is exit 130", async () => {
  const { code } = await onTerminal(["add-node", cluster.servers[1]!], PROMPT, "\x03");
  expect(code).toBe(130);
  expect(await nodes()).toEqual([cluster.servers[0]]);
});

test("yes makes the change, under a bar", async () => {
  const { code, screen } = await onTerminal(["add-node", cluster.servers[1]!], PROMPT, "y\r");
  expect(code).toBe(0);
  expect(screen).toMatch(/\[#{40}\] 100 % +(\d+)\/\1 sets/);
  expect(await nodes()).toEqual(cluster.servers);
});

test("status --watch draws the screen anew, and Ctrl-C ends it with 0", async () => {
  const { code, screen } = await onTerminal(["status", "--watch", "0.1"], /UN .*Cluster default: .*UN /s, "\x03");
  expect(code).toBe(0);
  expect(screen).toContain("\x1b[2JCluster default: ");
});
