/** Callers that pipeline and do not read: what is kept for them, and for how long. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { type Listening, type ListenOptions, listen } from "../../src/gateway/http/listen.ts";

const VALUE = Buffer.alloc(900_000, "x");
const AT = { host: "127.0.0.1", port: 0, name: "data" };
let port: Listening | undefined;
let socket: Socket | undefined;
afterEach(async () => {
  socket?.destroy();
  await port?.close(0);
});

async function start(direct: ListenOptions["direct"], more: Partial<ListenOptions> = {}): Promise<Socket> {
  port = await listen(() => new Response("unused"), { ...AT, direct, ...more });
  socket = connect(port.port, "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}
const requests = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => `GET /${from + i} HTTP/1.1\r\nHost: x\r\n\r\n`).join("");

test("of a caller that does not read a few requests are handled, and all of them when it does", async () => {
  let begun = 0;
  const caller = await start((_, outgoing) => {
    begun++;
    setImmediate(() => outgoing.end(VALUE));
    return true;
  });
  caller.pause();
  caller.write(requests(0, 900));
  await sleep(500);
  expect(begun).toBeLessThan(20);
  let bytes = 0;
  caller.on("data", (chunk) => {
    bytes += chunk.length;
  });
  caller.resume();
  while (bytes < 900 * VALUE.length) await sleep(20);
  expect(begun).toBe(900);
});

test("answers stand in the order of the requests, also those that were ready before", async () => {
  const waiting: ServerResponse[] = [];
  const caller = await start((incoming, outgoing) => {
    outgoing.setHeader("x-path", incoming.url!);
    waiting.push(outgoing);
    setTimeout(() => outgoing.end("x"), 3 * (waiting.length % 5));
    return true;
  });
  let text = "";
  caller.on("data", (chunk) => {
    text += chunk;
  });
  for (let from = 0; from < 1_000; from += 250) {
    caller.write(requests(from, from + 250));
    await sleep(5);
  }
  const paths = () => Array.from(text.matchAll(/x-path: \/(\d+)/g), ([, path]) => Number(path));
  while (paths().length < 1_000) await sleep(20);
  expect(paths()).toEqual(Array.from({ length: 1_000 }, (_, i) => i));
});

test("a caller that takes nothing of its answer is cut off; one whose answer is long in the making is not", async () => {
  const caller = await start(
    (incoming, outgoing) => {
      if (incoming.url === "/0") setTimeout(() => outgoing.end("late"), 1_000);
      else outgoing.end(Buffer.alloc(50_000_000));
      return true;
    },
    { stalledMs: 200 },
  );
  caller.write(requests(0, 1));
  const [answer] = (await once(caller, "data")) as [Buffer];
  expect(answer.toString()).toContain("late");
  caller.pause();
  caller.write(requests(1, 2));
  const closed = new Promise((resolve) => caller.on("close", resolve));
  await sleep(2_000);
  caller.resume(); // of what has reached this side already
  await closed;
  expect(caller.bytesRead).toBeLessThan(50_000_000);
});
