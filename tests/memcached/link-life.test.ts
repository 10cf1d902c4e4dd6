/** How a link begins, waits and ends: handshake, back-off, close. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { metaGet } from "../../src/memcached/commands.ts";
import { answerEmpty, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { newLink, server, until, useScriptedServer } from "./scripted.ts";
import { failureOf, freePort } from "./support.ts";

useScriptedServer();
afterEach(() => {
  vi.restoreAllMocks();
});

describe("back-off", () => {
  test("doubles from 50 ms to 2 s, fails at once meanwhile, ends with an answer", async () => {
    let now = 1000;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const port = await freePort();
    const link = newLink({ address: `127.0.0.1:${port}` });
    let last = await failureOf(link.exchange([metaGet("k")]));
    // Without jitter's upper half: half of 50, 100, 200, ...
    for (const wait of [25, 50, 100, 200, 400, 800, 1000, 1000]) {
      now += wait - 1;
      expect(await failureOf(link.exchange([metaGet("k")]))).toBe(last);
      now += 1;
      const next = await failureOf(link.exchange([metaGet("k")]));
      expect(next).not.toBe(last);
      last = next;
    }
    const back = await ScriptedServer.listen(answerEmpty, port);
    now += 1000;
    expect((await link.exchange([metaGet("k")])).replies[0]?.status).toBe("EN");
    await back.close();
  });

  test("a port that accepts and answers nothing counts as failed", async () => {
    vi.spyOn(performance, "now").mockReturnValue(1000);
    server.greeting = [{ reset: true }];
    const link = newLink();
    await failureOf(link.exchange([metaGet("k")]));
    const again = await failureOf(link.exchange([metaGet("k")]));
    expect(again).toMatchObject({ sent: false, error: { code: "NODE_DOWN" } });
    expect(server.connections).toBe(1);
  });

  test("events tell of both", async () => {
    const events: string[] = [];
    const link = newLink({ onUp: () => events.push("up"), onDown: (error) => events.push(error.code) });
    await link.exchange([]);
    server.script = () => [{ reset: true }];
    await failureOf(link.exchange([]));
    server.script = answerEmpty;
    await link.exchange([]);
    await link.close();
    expect(events).toEqual(["up", "NODE_DOWN", "up"]);
  });
});

describe("handshake", () => {
  const handshake = {
    commands: [metaGet("marker", "v")],
    check: (replies: readonly { status: string }[]) =>
      replies[0]?.status === "EN" ? undefined : new RingshiftError("CLUSTER_MANAGED", "managed", { node: "a" }),
  };

  test("goes first on every connection", async () => {
    const link = newLink({ fenceKey: undefined, handshake });
    await Promise.all([link.exchange([metaGet("a")]), link.exchange([metaGet("b")])]);
    server.script = () => [{ reset: true }];
    await failureOf(link.exchange([metaGet("c")]));
    server.script = answerEmpty;
    await link.exchange([metaGet("d")]);
    expect(server.requests.map(({ connection, line }) => `${connection} ${line}`)).toEqual([
      "0 mg marker v",
      "0 mg a",
      "0 mg b",
      "0 mg c",
      "1 mg marker v",
      "1 mg d",
    ]);
  });

  test("its error fails all that waits, unsent, and what comes in the back-off", async () => {
    vi.spyOn(performance, "now").mockReturnValue(1000);
    server.script = () => [{ send: "VA 1\r\nx\r\n" }];
    const link = newLink({ fenceKey: undefined, handshake });
    const failures = await Promise.all([
      failureOf(link.exchange([metaGet("a")])),
      failureOf(link.exchange([metaGet("b")])),
    ]);
    failures.push(await failureOf(link.exchange([metaGet("c")])));
    for (const failure of failures) expect(failure).toMatchObject({ sent: false, error: { code: "CLUSTER_MANAGED" } });
    expect(server.requests).toHaveLength(1);
  });

  test("without an answer in time, the queue fails unsent", async () => {
    server.script = () => [{ hang: true }];
    const link = newLink({ handshake, timeoutMs: 30 });
    expect(await failureOf(link.exchange([metaGet("a")]))).toMatchObject({ sent: false, error: { code: "NODE_DOWN" } });
  });
});

describe("close", () => {
  test("what is in flight is answered, what is queued or comes later fails CLOSED", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.script = (request) =>
      request.line === "mg slow" ? [{ until: held }, ...answerEmpty(request)] : answerEmpty(request);
    const link = newLink();
    await link.exchange([]);
    const slow = link.exchange([metaGet("slow")]);
    await new Promise((resolve) => setImmediate(resolve));
    const queued = failureOf(link.exchange([metaGet("queued")]));
    const closed = link.close();
    expect(await failureOf(link.exchange([metaGet("later")]))).toMatchObject({
      sent: false,
      error: { code: "CLOSED" },
    });
    expect(await queued).toMatchObject({ sent: false, error: { code: "CLOSED" } });
    expect(link.inFlight).toBe(2);
    release();
    expect((await slow).replies[0]?.status).toBe("EN");
    await closed;
    expect(link.close()).toBe(closed);
  });

  test("does not wait for a server that never answers longer than the timeout", async () => {
    server.script = () => [{ hang: true }];
    const link = newLink({ timeoutMs: 30 });
    const lost = failureOf(link.exchange([metaGet("k")]));
    await until(() => link.inFlight > 0);
    await link.close();
    expect(await lost).toMatchObject({ sent: true, error: { code: "TIMEOUT" } });
  });

  test("while connecting", async () => {
    const link = newLink();
    const lost = failureOf(link.exchange([metaGet("k")]));
    await new Promise<void>((resolve) => process.nextTick(resolve));
    await link.close();
    expect(await lost).toMatchObject({ sent: false, error: { code: "CLOSED" } });
  });
});
