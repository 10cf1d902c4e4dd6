/** The operator's verbs, as typed: what they print, and what they end with. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type Bench, bench, Died, dieAt } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

interface Outcome {
  readonly code: number;
  /** What stood on stderr: shown when an expectation fails. */
  readonly notes: string;
  readonly document: unknown;
}

async function ringshift(b: Bench, ...words: string[]): Promise<Outcome> {
  const child = spawn(process.execPath, [PROGRAM, ...words, "--json", "--redis", b.cluster.redis.url]);
  const texts = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (text) => {
      texts[stream] += text;
    });
  }
  const [code] = await once(child, "close");
  return { code, notes: texts.stderr, document: texts.stdout === "" ? undefined : JSON.parse(texts.stdout) };
}

test("verify, reindex, sweep", async () => {
  const b = await bench();
  await b.fill(200);
  const { address } = b.servers[0]!;
  expect(await ringshift(b, "verify", "--full")).toMatchObject({ code: 0, document: { clean: true, keys: 200 } });
  expect(await ringshift(b, "reindex", address)).toMatchObject({ code: 0, document: { node: address } });
  expect(await ringshift(b, "sweep")).toMatchObject({ code: 0, document: { generation: 1, live: 200, dropped: 0 } });
  await b.servers[0]!.kill();
  const unchecked = [{ node: address }];
  expect(await ringshift(b, "verify")).toMatchObject({ code: 5, document: { clean: false, unchecked } });
});

test("migration pause, status, resume, abort; remove-node --dead", async () => {
  const b = await bench();
  await b.fill(300);
  const server = await b.cluster.addMemcached();
  const change = { kind: "add-node" as const, nodes: [{ address: server.address }] };
  await expect(b.admin.apply(change, { onProgress: dieAt("copied", 2) })).rejects.toThrow(Died);
  expect(await ringshift(b, "migration", "pause")).toMatchObject({ code: 0 });
  const operation = { state: "copying", paused: true };
  expect(await ringshift(b, "migration", "status")).toMatchObject({ code: 0, document: { phase: "D", operation } });
  expect(await ringshift(b, "migration", "resume")).toMatchObject({ code: 0, document: { resumed: true } });
  expect(await ringshift(b, "migration", "abort", "--yes")).toMatchObject({ code: 2 }); // it has ended
  expect(await ringshift(b, "migration", "confirm", "--yes")).toMatchObject({ code: 2 });
  expect(await ringshift(b, "migration", "abandon", server.address, "--yes")).toMatchObject({ code: 2 });

  const lost = b.keysOn(server.address).length;
  await server.kill();
  const removed = await ringshift(b, "remove-node", server.address, "--dead", "--yes");
  expect(removed).toMatchObject({ code: 0, document: { lost: { keys: lost } } });
  expect(await b.wrong()).toHaveLength(lost);
});
