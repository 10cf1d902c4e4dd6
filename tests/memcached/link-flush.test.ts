/** How exchanges travel: packing, pipelining, the gate. */
import { describe, expect, test } from "vitest";
import { metaGet, metaSet } from "../../src/memcached/commands.ts";
import { answerEmpty } from "../../src/testing/scripted-server.ts";
import { FENCE, isFence, newLink, server, useScriptedServer } from "./scripted.ts";
import { failureOf } from "./support.ts";

useScriptedServer();

/** Sizes of the flushes that arrived, in commands with the fence get. */
function flushes(): number[] {
  const sizes: number[] = [];
  let size = 0;
  for (const { line } of server.requests) {
    size++;
    if (isFence(line)) {
      sizes.push(size);
      size = 0;
    }
  }
  return size === 0 ? sizes : [...sizes, -size];
}

describe("flushes", () => {
  test("what one tick submits is packed, up to 64 commands with the fence get", async () => {
    const link = newLink();
    await Promise.all(Array.from({ length: 200 }, (_, i) => link.exchange([metaGet(`k${i}`)])));
    expect(flushes()).toEqual([64, 64, 64, 12]);
    expect(server.requests.filter(({ line }) => !isFence(line)).map(({ line }) => line)).toEqual(
      Array.from({ length: 200 }, (_, i) => `mg k${i}`),
    );
  });

  test("an exchange is never split over two", async () => {
    const link = newLink();
    const forty = Array.from({ length: 40 }, (_, i) => metaGet(`k${i}`));
    await Promise.all([link.exchange(forty), link.exchange(forty), link.exchange(forty.slice(0, 23))]);
    expect(flushes()).toEqual([41, 64]);
  });

  test("63 commands are an exchange, 64 are refused", async () => {
    const link = newLink();
    const commands = Array.from({ length: 64 }, () => metaGet("k"));
    expect((await link.exchange(commands.slice(1))).replies).toHaveLength(63);
    expect(await failureOf(link.exchange(commands))).toMatchObject({ sent: false, error: { code: "INVALID_OPTION" } });
  });

  test("256 KiB are a flush, and a larger value goes alone", async () => {
    const link = newLink();
    const set = (key: string, size: number) => link.exchange([metaSet(key, Buffer.alloc(size), { flags: 0, ttl: 0 })]);
    await Promise.all([
      ...["a", "b", "c", "d", "e"].map((key) => set(key, 100 * 1024)),
      set("big", 1024 * 1024),
      set("f", 1),
    ]);
    expect(flushes()).toEqual([3, 3, 2, 2, 2]);
  });

  test("where replies are large, few are asked for at once, and more again when they are small", async () => {
    const large = `VA ${100 * 1024}\r\n${"x".repeat(100 * 1024)}\r\n`;
    server.script = (request) => (request.line === "mg large v" ? [{ send: large }] : answerEmpty(request));
    const link = newLink();
    const get = (key: string, times: number) =>
      Promise.all(Array.from({ length: times }, () => link.exchange([metaGet(key, "v")])));
    for (let i = 0; i < 12; i++) await get("large", 1);
    await get("large", 8);
    expect(flushes().slice(12)).toEqual([5, 5]); // their fences were half of the replies so far
    for (let i = 0; i < 40; i++) await get("small", 1);
    await get("small", 63);
    expect(flushes().slice(54)).toEqual([64]);
  });

  test("the next one does not wait for the answers to the last", async () => {
    let second = (): void => {};
    const arrived = new Promise<void>((resolve) => {
      second = resolve;
    });
    server.script = (request) => {
      if (request.line === "mg two") second();
      return request.line === "mg one" ? [{ until: arrived }, ...answerEmpty(request)] : answerEmpty(request);
    };
    const link = newLink();
    await link.exchange([]);
    const one = link.exchange([metaGet("one")]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(link.inFlight).toBe(2);
    const two = link.exchange([metaGet("two")]);
    expect((await Promise.all([one, two])).map(({ replies }) => replies[0]?.status)).toEqual(["EN", "EN"]);
    expect(flushes()).toEqual([1, 2, 2]);
  });

  test("replies in single bytes, values cut anywhere", async () => {
    server.script = (request) =>
      request.line.startsWith("mg k") ? [{ send: "VA 9 f7 c3\r\nab\r\nEN\r\nz\r\n", pieces: 1 }] : answerEmpty(request);
    const { replies } = await newLink().exchange([metaGet("k1", "v f c"), metaGet("x"), metaGet("k2", "v f c")]);
    expect(replies.map((reply) => reply.value?.toString())).toEqual(["ab\r\nEN\r\nz", undefined, "ab\r\nEN\r\nz"]);
  });

  test("a gate that is shut fails them unsent", async () => {
    let open = true;
    const link = newLink({ mayFlush: () => open });
    await link.exchange([metaGet("k")]);
    open = false;
    const failures = await Promise.all([
      failureOf(link.exchange([metaGet("x")])),
      failureOf(link.exchange([metaGet("y")])),
    ]);
    for (const failure of failures)
      expect(failure).toMatchObject({ sent: false, gate: true, error: { code: "TIMEOUT", node: "a" } });
    open = true;
    await link.exchange([metaGet("z")]);
    expect(server.requests.map(({ line }) => line)).toEqual(["mg k", `mg ${FENCE} v`, "mg z", `mg ${FENCE} v`]);
  });
});
