/** `touch` and `gat` are sent again as reads are: a try that got no answer may have given its TTL. */
import { expect, onTestFinished, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";

/** A server that takes the first touch and breaks the connection instead of answering; its requests for `k`. */
async function start(): Promise<{ readonly client: Client; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = await ScriptedServer.listen((request) => {
    if (!request.line.startsWith("mg k ")) return answerEmpty(request);
    asked.push(request.line);
    if (asked.length === 1) return [{ reset: true }];
    return [{ send: request.line.includes("v") ? "VA 1 f0 c7\r\n1\r\n" : "HD f0 c7\r\n" }];
  });
  const client = await createClient({ servers: [server.address] });
  onTestFinished(async () => {
    await client.quit();
    await server.close();
  });
  return { client, asked };
}

test("a touch that got no answer is sent again, without retryAmbiguous", async () => {
  const { client, asked } = await start();
  expect(await client.touch("k", 60)).toBe(true);
  expect(asked).toEqual(["mg k T60 f c", "mg k T60 f c"]);
});

test("and so is gat", async () => {
  const { client, asked } = await start();
  expect(await client.gat("k", 60)).toBeDefined();
  expect(asked).toEqual(["mg k T60 v f c", "mg k T60 v f c"]);
});
