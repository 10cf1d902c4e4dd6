/** The link when servers fail in the middle of things. */
import { describe, expect, test } from "vitest";
import type { RingshiftError } from "../../src/errors.ts";
import { metaGet, metaSet } from "../../src/memcached/commands.ts";
import { answerEmpty, type Script } from "../../src/testing/scripted-server.ts";
import { FENCE, isFence, newLink, server, until, useScriptedServer } from "./scripted.ts";
import { failureOf, freePort } from "./support.ts";

useScriptedServer();

describe("what broke reaches nobody else", () => {
  const late: Script = (request) => (request.line === "mg slow v" ? [{ hang: true }] : answerEmpty(request));

  test("a timeout destroys the connection; the late reply is lost, the next exchange has its own answer", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.script = (request) =>
      request.line === "mg slow v" ? [{ until: held }, { send: "VA 4\r\nlate\r\n" }] : answerEmpty(request);
    const link = newLink({ timeoutMs: 200 });
    const first = (await link.exchange([])).connection;
    const failure = await failureOf(link.exchange([metaGet("slow", "v")]));
    expect(failure).toMatchObject({ sent: true, gate: false, error: { code: "TIMEOUT", node: "a" } });
    expect(link.connection).toBeUndefined();
    const next = link.exchange([metaGet("next", "v")]);
    release();
    expect(await next).toMatchObject({ replies: [{ status: "EN", value: undefined }] });
    expect((await next).connection.id).not.toBe(first.id);
    expect(server.connections).toBe(2);
  });

  test("every flush in flight fails as sent, answered parts included", async () => {
    server.script = late;
    const link = newLink({ timeoutMs: 200 });
    await link.exchange([]);
    const same = [link.exchange([metaGet("k")]), link.exchange([metaGet("slow", "v")])];
    const failures = await Promise.all(same.map(failureOf));
    expect(failures.map(({ sent, error }) => [sent, error.code])).toEqual([
      [true, "TIMEOUT"],
      [true, "TIMEOUT"],
    ]);
  });

  test.each([
    ["reset", [{ reset: true }], "NODE_DOWN"],
    ["closed", [{ end: true }], "NODE_DOWN"],
    ["closed within a reply", [{ send: "VA 10\r\nabc" }, { end: true }], "NODE_DOWN"],
    ["garbage", [{ send: "HTTP/1.1 400 Bad Request\r\n" }], "PROTOCOL_ERROR"],
    ["a value without its end", [{ send: "VA 1\r\nabc\r\n" }], "PROTOCOL_ERROR"],
    ["an endless line", [{ send: "x".repeat(5000) }], "PROTOCOL_ERROR"],
  ] as const)("%s", async (_, steps, code) => {
    server.script = (request) => (request.line === "mg bad v" ? steps : answerEmpty(request));
    const link = newLink();
    await link.exchange([]);
    const [failure, next] = await Promise.all([
      failureOf(link.exchange([metaGet("bad", "v")])),
      new Promise((resolve) => setImmediate(resolve)).then(() =>
        link.exchange([metaGet("k")]).catch(() => link.exchange([metaGet("k")])),
      ),
    ]);
    expect(failure).toMatchObject({ sent: true, error: { code, node: "a" } });
    expect(next).toMatchObject({ replies: [{ status: "EN" }] });
  });

  test("a reply that nobody asked for ends the connection", async () => {
    server.script = (request) => (isFence(request.line) ? [{ send: "EN\r\nEN\r\n" }] : answerEmpty(request));
    const downs: RingshiftError[] = [];
    const down = new Promise<void>((resolve) => {
      const link = newLink({
        onDown: (error) => {
          downs.push(error);
          resolve();
        },
      });
      void link.exchange([]);
    });
    await down;
    expect(downs[0]).toMatchObject({ code: "PROTOCOL_ERROR", message: expect.stringContaining("nothing asked for") });
  });

  test("a server without the meta protocol: ERROR is a reply, but not to the fence get", async () => {
    server.script = () => [{ send: "ERROR\r\n" }];
    const plain = newLink({ fenceKey: undefined });
    expect((await plain.exchange([metaGet("k")])).replies[0]?.status).toBe("ERROR");
    expect(await failureOf(newLink().exchange([metaGet("k")]))).toMatchObject({
      sent: true,
      error: { code: "META_REQUIRED" },
    });
  });

  test("a callback that throws does not keep the others from being told", async () => {
    const link = newLink();
    const uncaught = new Promise<unknown>((resolve) => {
      const others = process.listeners("uncaughtException");
      process.removeAllListeners("uncaughtException");
      process.once("uncaughtException", (error) => {
        for (const other of others) process.on("uncaughtException", other);
        resolve(error);
      });
    });
    link.submit([metaGet("a")], undefined, () => {
      throw new Error("from the callback");
    });
    expect((await link.exchange([metaGet("b")])).replies[0]?.status).toBe("EN");
    expect(await uncaught).toMatchObject({ message: "from the callback" });
  });
});

describe("unsent and sent", () => {
  test("nobody listens: unsent", async () => {
    const link = newLink({ address: `127.0.0.1:${await freePort()}` });
    expect(await failureOf(link.exchange([metaGet("k")]))).toMatchObject({
      sent: false,
      gate: false,
      error: { code: "NODE_DOWN", node: "a" },
    });
  });

  test("what was not handed to the socket when the connection broke goes over the next one", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.script = (request) =>
      request.line === "mg stall" ? [{ stopReading: true }, { until: held }, { reset: true }] : answerEmpty(request);
    const link = newLink();
    await link.exchange([]);
    const stall = link.exchange([metaGet("stall")]);
    await until(() => server.requests.some(({ line }) => line === "mg stall"));
    // More than the sockets take while the server does not read.
    const big = link.exchange([metaSet("big", Buffer.alloc(32 * 1024 * 1024), { flags: 0, ttl: 0 })]);
    const kept = link.exchange([metaGet("kept")]);
    await until(() => link.inFlight === 4);
    expect(link.waiting).toBe(1);
    release();
    for (const lost of [stall, big])
      expect(await failureOf(lost)).toMatchObject({ sent: true, error: { code: "NODE_DOWN" } });
    expect((await kept).replies[0]?.status).toBe("EN");
    expect(server.requests.filter(({ connection }) => connection === 1).map(({ line }) => line)).toEqual([
      "mg kept",
      `mg ${FENCE} v`,
    ]);
  });

  test("bound to a connection: only over that one, else unsent", async () => {
    const link = newLink();
    const { connection } = await link.exchange([metaGet("k")]);
    expect((await link.exchange([metaGet("k")], connection)).connection).toBe(connection);
    server.script = () => [{ reset: true }];
    await failureOf(link.exchange([metaGet("k")]));
    server.script = answerEmpty;
    const before = server.requests.length;
    expect(await failureOf(link.exchange([metaGet("k")], connection))).toMatchObject({
      sent: false,
      error: { code: "NODE_DOWN" },
    });
    expect((await link.exchange([metaGet("k")])).connection.id).not.toBe(connection.id);
    expect(await failureOf(link.exchange([metaGet("k")], connection))).toMatchObject({ sent: false });
    expect(server.requests.length).toBe(before + 2);
  });

  test("a full queue refuses, in-flight commands counted", async () => {
    const link = newLink({ queueLimit: 3 });
    const two = [metaGet("a"), metaGet("b")];
    const first = link.exchange(two);
    expect(await failureOf(link.exchange(two))).toMatchObject({ sent: false, error: { code: "QUEUE_FULL" } });
    await first;
    expect((await link.exchange(two)).replies).toHaveLength(2);
  });
});
