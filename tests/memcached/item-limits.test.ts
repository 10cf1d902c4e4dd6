/** The question for a server's item size limit, where its answer is not what it should be. */
import { afterEach, expect, test } from "vitest";
import { binaryProtocol } from "../../src/binary/protocol.ts";
import { ItemLimits } from "../../src/memcached/item-limits.ts";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";

let server: ScriptedServer | undefined;
afterEach(() => server?.close());

const answering = async (lines: readonly string[]) => {
  server = await ScriptedServer.listen(() => [{ send: `${lines.map((line) => `STAT ${line}\r\n`).join("")}END\r\n` }]);
  return { name: "a", address: server.address };
};

test("a limit that is no number is a broken answer, not a limit that nothing fits", async () => {
  const node = await answering(["item_size_max 1048\u00ff576"]);
  const limits = new ItemLimits();
  await expect(limits.check(node, 10, 5_000)).rejects.toMatchObject({ code: "PROTOCOL_ERROR", node: "a" });
  server!.script = () => [{ send: "STAT item_size_max 4096\r\nEND\r\n" }];
  await expect(limits.check(node, 10, 5_000)).rejects.toMatchObject({ code: "VALUE_TOO_LARGE" });
});

test("a server that does not tell has no limit", async () => {
  const limits = new ItemLimits();
  const node = await answering(["threads 4"]);
  await limits.check(node, 10, 5_000_000);
  expect(limits.fits(node, 10, 5_000_000)).toBe(true);
});

test("a server evicts when it says so; not where it says no, says nothing, or does not answer", async () => {
  const node = await answering(["evictions on"]);
  expect(await new ItemLimits().evicts(node)).toBe(true);
  const limits = new ItemLimits();
  server!.script = () => [{ send: "STAT evictions off\r\nEND\r\n" }];
  expect(await limits.evicts(node)).toBe(false);
  server!.script = () => [{ send: "STAT evictions on\r\nEND\r\n" }];
  expect(await limits.evicts(node)).toBe(false); // known
  limits.forget(node);
  expect(await limits.evicts(node)).toBe(true);
  server!.script = () => [{ send: "STAT threads 4\r\nEND\r\n" }];
  expect(await new ItemLimits().evicts(node)).toBe(false);
  await server!.close();
  expect(await new ItemLimits().evicts(node)).toBe(false);
});

test.each([
  ["text", undefined],
  ["binary", binaryProtocol(undefined, false)],
])("close() ends the question under way, and nothing is asked afterwards: %s", async (_, protocol) => {
  server = await ScriptedServer.listen(() => [{ hang: true }]);
  const node = { name: "a", address: server.address };
  const limits = new ItemLimits({}, protocol);
  const checks = [limits.check(node, 10, 5_000), limits.check(node, 10, 6_000)];
  while (server.connections === 0) await new Promise((resolve) => setImmediate(resolve));
  limits.close();
  for (const check of checks) await expect(check).rejects.toMatchObject({ code: "CLOSED" });
  await expect(limits.check(node, 10, 5_000)).rejects.toMatchObject({ code: "CLOSED", node: "a" });
  expect(await limits.evicts(node)).toBe(false);
  expect(server.connections).toBe(1);
});
