/** `retryAmbiguous`: a write whose effect is unknown is sent again; where that comes to nothing, its effect stays unknown. */
import { expect, onTestFinished, test } from "vitest";
import { type Client, createClient } from "../../src/index.ts";
import { answerEmpty, type Script, ScriptedServer, type Step } from "../../src/testing/scripted-server.ts";

/** A client of a server that answers the sets it gets by these steps, in turn, and everything else as if it were empty. */
async function start(
  ...answers: readonly (readonly Step[])[]
): Promise<{ readonly client: Client; sets: () => number }> {
  let sets = 0;
  const script: Script = (request) => {
    if (!request.line.startsWith("ms k ")) return answerEmpty(request);
    return answers[Math.min(sets++, answers.length - 1)]!;
  };
  const server = await ScriptedServer.listen(script);
  const client = await createClient({ servers: [server.address], retryAmbiguous: true, timeoutMs: 2_000 });
  onTestFinished(async () => {
    await client.quit();
    await server.close();
  });
  return { client, sets: () => sets };
}

test("a set that got no answer is sent again", async () => {
  const { client, sets } = await start([{ reset: true }], [{ send: "HD\r\n" }]);
  expect(await client.set("k", 1)).toBe(true);
  expect(sets()).toBe(2);
});

test("a set that gets no answer ever rejects as one of unknown effect, not as one that was never sent", async () => {
  const { client } = await start([{ reset: true }]);
  await expect(client.set("k", 1)).rejects.toMatchObject({ code: "AMBIGUOUS_WRITE", key: "k" });
});

test("nor does a refusal of the second try say that nothing was written", async () => {
  const { client } = await start([{ reset: true }], [{ send: "SERVER_ERROR out of memory storing object\r\n" }]);
  await expect(client.set("k", 1)).rejects.toMatchObject({
    code: "AMBIGUOUS_WRITE",
    cause: expect.objectContaining({ code: "SERVER_ERROR" }),
  });
});
