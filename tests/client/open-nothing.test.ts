/** A client that could not be opened leaves nothing open: a program that gives up ends. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ScriptedServer } from "../../src/testing/scripted-server.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });
const run = promisify(execFile);

const PROGRAM = `
  const { createClient } = await import(${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)});
  const [redis, server] = process.argv.slice(1);
  let failedAt = 0;
  process.on("exit", () => console.log(Math.round(performance.now() - failedAt)));
  const error = await createClient({ redis, servers: [server] }).catch((error) => error);
  failedAt = performance.now();
  console.log(error.code);
`;

async function program(redis: string): Promise<{ code: string; aliveMs: number }> {
  const args = ["--input-type=module", "-e", PROGRAM, redis, bench.local.servers[0]!];
  const { stdout } = await run(process.execPath, args);
  const [code = "", aliveMs] = stdout.trim().split("\n");
  return { code, aliveMs: Number(aliveMs) };
}

test("with a Redis that is not there, the process ends at once", async () => {
  const { code, aliveMs } = await program("redis://127.0.0.1:1");
  expect(code).toBe("REDIS_UNREACHABLE");
  expect(aliveMs).toBeLessThan(500);
});

test("with a Redis that does not answer, the process ends at once", async () => {
  const silent = await ScriptedServer.listen(() => [{ hang: true }]);
  const { code, aliveMs } = await program(`redis://${silent.address}`);
  await silent.close();
  expect(code).toBe("REDIS_UNREACHABLE");
  expect(aliveMs).toBeLessThan(500);
});
