/** `delete` looks and deletes in one flush: what its answer is when another client's command runs between the two. */
import { expect, onTestFinished, test } from "vitest";
import { createClient, type RingshiftError } from "../../src/index.ts";
import { PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";

const LEASE = `HD f${PLACEHOLDER_FLAGS}`;

test.each([
  ["a value", "HD f0", "HD", true],
  ["nothing", "EN", "NF", false],
  ["a lease", LEASE, "HD", false],
  ["a value that went in between", "HD f0", "NF", false],
  ["nothing, where something (a value or a lease) came in between", "EN", "HD", "AMBIGUOUS_WRITE"],
])("delete answers by its look and its deletion: %s", async (_, look, done, answer) => {
  const server = await ScriptedServer.listen((request) => {
    if (request.line.startsWith("mg k ")) return [{ send: `${look}\r\n` }];
    return request.line === "md k" ? [{ send: `${done}\r\n` }] : answerEmpty(request);
  });
  const client = await createClient({ servers: [server.address] });
  onTestFinished(async () => {
    await client.quit();
    await server.close();
  });
  const outcome = await client.delete("k").catch((error: RingshiftError) => error.code);
  expect(outcome).toBe(answer);
});
