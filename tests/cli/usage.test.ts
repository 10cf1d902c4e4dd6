import { expect, test } from "vitest";
import { Cli, Run } from "./support.ts";

/** Nothing listens on port 1: usage errors come before any connection. */
const cli = new Cli({ url: "redis://127.0.0.1:1" });

test("help and version are answers", async () => {
  const help = await cli.run(["--help"]);
  expect(help).toMatchObject({ code: 0, stderr: "" });
  expect(help.stdout.toString()).toMatch(/^Usage: ringshift .*init .*add-node .*Exit codes: 0 done/s);
  const version = await cli.run(["--version"]);
  expect(version).toMatchObject({ code: 0, stderr: "" });
  expect(version.stdout.toString()).toMatch(/^\d+\.\d+\.\d+\n$/);
  const command = await cli.run(["add-node", "--help"]);
  expect(command.stdout.toString()).toMatch(/--rate <keys-per-second>.*Global Options:.*--redis <url>/s);
});

test.each([[[]], [["plan"]], [["migration"]]])("%j lacks a command: help on stderr, exit 2", async (args) => {
  const { code, stdout, stderr } = await cli.run(args);
  expect([code, stdout.length]).toEqual([2, 0]);
  expect(stderr).toMatch(/^Usage: ringshift/);
  const asJson = await cli.run([...args, "--json"]);
  expect(asJson.code).toBe(2);
  expect(JSON.parse(asJson.stdout.toString()).error).toMatchObject({ code: "INVALID_OPTION" });
});

test.each([
  ["a command misspelt", ["stauts"], /unknown command 'stauts' \(Did you mean status\?\)/],
  ["a planned command misspelt", ["plan", "ad-node", "a"], /unknown command 'ad-node' \(Did you mean add-node\?\)/],
  ["an option misspelt", ["status", "--wtach"], /unknown option '--wtach' \(Did you mean --watch\?\)/],
  ["no argument", ["add-node"], /missing required argument 'address'/],
  ["an argument too many", ["get", "a", "b"], /too many arguments/],
  ["a weight of 0", ["set-weight", "a", "0"], /'0' is invalid.*A number above 0/],
  ["a negative weight", ["add-node", "a", "--weight", "-1"], /'-1' is invalid.*A number above 0/],
  ["half a vnode", ["set-vnodes", "a", "1.5"], /'1\.5' is invalid.*A whole number above 0/],
  ["a TTL that is no number", ["set", "a", "b", "--ttl", "soon"], /'soon' is invalid.*seconds/],
  [
    "a watch that a timer cannot wait for",
    ["status", "--watch", "2147484"],
    /'2147484' is invalid.*At most 86400 seconds/,
  ],
  ["a rate of nothing", ["add-node", "a", "--rate", "0"], /'0' is invalid/],
  ["an unknown ring", ["init", "a", "--compat", "jump"], /Allowed choices are ringshift, libketama, libmemcached/],
  ["one name for two", ["add-node", "a", "b", "--name", "c", "--yes"], /--name goes with one address/],
  ["nobody to ask", ["add-node", "a"], /no terminal to ask on: --yes/],
  ["nobody to ask about a removal", ["remove-node", "a"], /--yes/],
  ["no server to start with", ["init"], /addresses, or --servers-file/],
  ["two sources of servers", ["init", "a", "--servers-file", "b"], /addresses, or --servers-file/],
  [
    "a servers file that is not there",
    ["init", "--servers-file", "/nonexistent"],
    /--servers-file \/nonexistent cannot/,
  ],
  ["flush and adopt", ["init", "a", "--flush", "--adopt"], /--flush deletes what --adopt keeps/],
  ["a Redis without a scheme", ["status", "--redis", "localhost:6379"], /--redis .* takes redis:\/\//],
  ["a namespace with a blank", ["status", "--namespace", "a b"], /namespace "a b"/],
  ["an empty namespace", ["status", "--namespace", ""], /namespace ""/],
])("%s is a document on stdout with --json, and exit 2", async (_, args, message) => {
  const { code, stdout, stderr } = await cli.run(["--json", ...args]);
  expect([code, stderr]).toEqual([2, ""]);
  const { error } = JSON.parse(stdout.toString());
  expect(error).toEqual({ code: "INVALID_OPTION", message: expect.stringMatching(message) });
});

test.each([
  [["stauts"], /unknown command .*\(Did you mean status\?\)/],
  [["add-node", "a"], /--yes/],
])("without --json %j is one line on stderr", async (args, message) => {
  const { code, stdout, stderr } = await cli.run(args);
  expect([code, stdout.toString()]).toEqual([2, ""]);
  expect(stderr).toMatch(/^\[ERR\] INVALID_OPTION: [^\n]*\n$/);
  expect(stderr).toMatch(message);
});

test.each([
  ["[::1", "init"],
  ["a:0", "add-node"],
  ["::1", "init"],
])("%s is no address", async (address, command) => {
  const { code, stderr } = await cli.run([command, address]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^\[ERR\] NODE_ADDRESS: /);
});

test.each([
  [["status"]],
  [["init", "127.0.0.1:2"]],
  [["get", "a"]],
  [["set", "a", "b"]],
  [["plan", "remove-node", "a"]],
  [["remove-node", "a", "--yes"]],
])("%j without a Redis ends by itself with 4", async (args) => {
  const { code, stdout, stderr } = await cli.run(args);
  expect([code, stdout.toString()]).toEqual([4, ""]);
  expect(stderr).toMatch(/\[ERR\] REDIS_UNREACHABLE: Redis at redis:\/\/127\.0\.0\.1:1 .*--redis/);
  expect(stderr).not.toContain("    at ");
});

test("a stack trace is there for the asking", async () => {
  const env = { RINGSHIFT_REDIS: "redis://127.0.0.1:1", RINGSHIFT_DEBUG: "1" };
  expect((await new Run(["status"], env).outcome()).stderr).toMatch(/ {4}at .*\[ERR\] REDIS_UNREACHABLE/s);
});
