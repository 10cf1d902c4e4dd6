/** `delete` ends what is there and is told what that was in one step, so that no other client's command can come in between. */
import { expect, onTestFinished, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";

const LEASE = `HD f${PLACEHOLDER_FLAGS}`;

test.each([
  ["a value", "HD f0", true],
  ["nothing", "EN", false],
  ["a lease", LEASE, false],
])("delete answers by what its one step ended: %s", async (_, ended, answer) => {
  const sent: string[] = [];
  const server = await ScriptedServer.listen((request) => {
    sent.push(request.line);
    // whatever another client puts there in between is not this delete's business
    if (request.line === "mg k T2592001 f") return [{ send: `${ended}\r\n` }];
    return request.line === "mg k" ? [{ send: "HD\r\n" }] : answerEmpty(request);
  });
  const client = await createClient({ servers: [server.address] });
  onTestFinished(async () => {
    await client.quit();
    await server.close();
  });
  expect(await client.delete("k")).toBe(answer);
  expect(sent.filter((line) => line.split(" ")[1] === "k")).toEqual(["mg k T2592001 f", "mg k"]);
});
