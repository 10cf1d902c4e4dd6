/** A server that answers just after a write's time is up, while the lost write is still being told of: the answer is for nobody. */
import { expect, onTestFinished, test } from "vitest";
import { Client } from "../../src/client/client.ts";
import { openPlain } from "../../src/client/plain-session.ts";
import { answerEmpty, type Script, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";

const PATIENCE_MS = 600_000;

/** A client that takes 50 ms for telling of a lost write, and a server that answers what it was asked about `k` once that has begun. */
async function start(answer: string, retryAmbiguous: boolean) {
  let begin!: () => void;
  const telling = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const script: Script = (request) =>
    / k /.test(`${request.line} `) ? [{ until: telling }, { send: answer }] : answerEmpty(request);
  const server = await ScriptedServer.listen(script);
  const node = { name: "n", address: server.address, weight: 1, index: 0 };
  const open = await openPlain({
    servers: [node],
    namespace: namespaceOf(undefined),
    compat: "ringshift",
    hashTags: false,
    unmanaged: true,
    ioTimeoutMs: PATIENCE_MS,
    connectTimeoutMs: PATIENCE_MS,
  });
  const told: string[] = [];
  const onLostWrite = async (name: string, wire: string) => {
    told.push(`${name} ${wire}`);
    begin();
    await new Promise((resolve) => setTimeout(resolve, 50));
  };
  const client = new Client(open, { timeoutMs: 300, retryAmbiguous, onLostWrite });
  onTestFinished(async () => {
    await server.close();
    await client.quit();
  });
  return { client, told };
}

const WRITES: readonly [string, string, (client: Client) => Promise<unknown>][] = [
  ["set", "HD\r\n", (client) => client.set("k", 1)],
  ["delete", "HD f0\r\nEN\r\n", (client) => client.delete("k")],
  ["incr", "VA 1\r\n2\r\n", (client) => client.incr("k")],
  ["add", "HD\r\n", (client) => client.add("k", 1)],
  ["touch", "HD f0 c1\r\n", (client) => client.touch("k", 60)],
];

test.each(WRITES.flatMap((write) => [false, true].map((again) => [...write, again] as const)))(
  "%s",
  async (_, answer, run, retryAmbiguous) => {
    const { client, told } = await start(answer, retryAmbiguous);
    await expect(run(client)).rejects.toMatchObject({ code: "AMBIGUOUS_WRITE", key: "k", node: "n" });
    expect(told).toEqual(["n k"]);
    await new Promise((resolve) => setTimeout(resolve, 100)); // what still comes of it
    expect(client.metrics().ambiguousWrites).toBe(1);
    expect(told).toEqual(["n k"]);
  },
);
