/** Bytes that are no request, or that Hono's adapter refuses: answered as every other failure of the data port, and no server asked. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { malformedAnswer } from "../../src/gateway/data/app.ts";
import { createDirectReads } from "../../src/gateway/data/direct-read.ts";
import { type Listening, listen } from "../../src/gateway/http/listen.ts";
import { useDataPort } from "./support.ts";

const port = useDataPort();
const counted: number[] = [];
let listening: Listening;

beforeAll(async () => {
  const malformed = malformedAnswer({ ...port.options, onAnswer: (_, status) => counted.push(status) });
  const direct = createDirectReads(port.options);
  listening = await listen(port.handler, { host: "127.0.0.1", port: 0, name: "data", direct, malformed });
});
afterAll(() => listening?.close(0));

/** Sends the bytes, and reads until the server closes. */
async function exchange(text: string): Promise<string> {
  const socket = connect(listening.port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.write(text, "latin1");
  await once(socket, "end");
  socket.end();
  return Buffer.concat(chunks).toString("latin1");
}

const HOST = "Host: 127.0.0.1";
const get = (target: string, ...lines: string[]) =>
  [`GET ${target} HTTP/1.1`, ...(lines.length > 0 ? lines : [HOST]), "Connection: close", "", ""].join("\r\n");
const post = (...lines: string[]) => ["POST /a HTTP/1.1", HOST, "Connection: close", ...lines, "", ""].join("\r\n");

test.each([
  ["a NUL in the path", get("/a\0b")],
  ["a blank in the path", get("/a b")],
  ["a byte beyond ASCII in the path", get("/\xe4")],
  ["a backslash in the path", get("/..\\a")],
  ["a path of 20,000 bytes", get(`/${"k".repeat(20_000)}`)],
  ["a path of 200,000 bytes", get(`/${"k".repeat(200_000)}`)],
  ["a target without a path", get("?key=a")],
  ["OPTIONS *", get("/a").replace("GET /a", "OPTIONS *")],
  ["a header of 20,000 bytes", get("/a", HOST, `X-Long: ${"x".repeat(20_000)}`)],
  ["a NUL in a header", get("/a", HOST, "X-Nul: a\0b")],
  ["no Host", get("/a", "Accept: */*")],
  ["two Hosts", get("/a", HOST, "hOsT: elsewhere.test")],
  ["the same Host twice", get("/a", HOST, HOST)],
  ["a bad Host", get("/a", "Host: a b")],
  ["an unknown method", get("/a").replace("GET", "FOO")],
  ["a handshake of TLS", "\x16\x03\x01\x02\0\x01\0\r\n\r\n"],
  ["a bad length", post("Content-Length: x")],
  ["two lengths", `${post("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n`],
])("%s is a 400 with the headers about the cluster", async (_, text) => {
  counted.length = 0;
  const answer = await exchange(text);
  expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  expect(answer).toContain("content-type: application/problem+json\r\n");
  expect(answer).toContain("x-cacheserver-index: \r\nx-cacheserver-count: 3\r\nx-cacheserver-indexes: 0,1,2\r\n");
  expect(answer).toMatch(/x-ring-distribution: 0:\d+,1:\d+,2:\d+\r\n/);
  expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4))).toMatchObject({
    status: 400,
    code: "MALFORMED_REQUEST",
  });
  expect(counted).toEqual([400]);
});

test("an unknown expectation is a 417", async () => {
  const answer = await exchange(`${post("Expect: tea", "Content-Length: 11")}{"value":1}`);
  expect(answer).toMatch(/^HTTP\/1\.1 417 [\s\S]*x-cacheserver-count: 3\r\n[\s\S]*MALFORMED_REQUEST/);
});

describe("behind a request whose answer is pending", () => {
  const statuses = (answer: string) =>
    Array.from(answer.matchAll(/HTTP\/1\.1 (\d{3}) /g), ([, status]) => Number(status));
  const put = (length: number) =>
    ["PUT /short HTTP/1.1", HOST, "Content-Type: text/plain", `Content-Length: ${length}`, "", ""].join("\r\n");

  test("the rest of a body longer than its Content-Length gets no answer, and the connection ends after the request's own", async () => {
    counted.length = 0;
    const text = "grüße, längerer Text"; // 20 characters
    const answer = await exchange(put(20) + Buffer.from(text).toString("latin1"));
    expect(statuses(answer)).toEqual([201]);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
    expect(counted).toEqual([]);
    const stored = await port.cache.client.get("short");
    expect(stored).toBe(Buffer.from(text).subarray(0, 20).toString());
  });

  test("and what comes while the answer is being made changes nothing", async () => {
    let answered: (() => void) | undefined;
    const slow = await listen(
      () =>
        new Promise((resolve) => {
          answered = () => resolve(new Response("made"));
        }),
      { host: "127.0.0.1", port: 0, name: "data" },
    );
    const socket = connect(slow.port, "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.write(`${put(1)}xyz`);
    await expect.poll(() => answered).toBeDefined();
    for (let i = 0; i < 20; i++) {
      socket.write("garbage");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(answer).toBe("");
    answered?.();
    await once(socket, "close");
    expect(statuses(answer)).toEqual([200]);
    expect(answer).toMatch(/made$/);
    await slow.close(0);
  });

  test("a request that breaks off in its body has its 400 after the answers before it", async () => {
    const broken = ["PUT /broken HTTP/1.1", HOST, "Transfer-Encoding: chunked", "", "no length", "", ""].join("\r\n");
    const answer = await exchange(`GET /never-stored HTTP/1.1\r\n${HOST}\r\n\r\n${broken}`);
    expect(statuses(answer)).toEqual([404, 400]);
    expect(answer).toContain("MALFORMED_REQUEST");
    expect(await port.cache.client.get("broken")).toBeUndefined();
  });

  test("one that has its answer already: the bytes behind it are a request of their own", async () => {
    const socket = connect(listening.port, "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.write(`${put(1)}x`);
    await expect.poll(() => statuses(answer)).toEqual([201]);
    socket.end("yz\r\n\r\n");
    await once(socket, "close");
    expect(statuses(answer)).toEqual([201, 400]);
  });
});

test("HTTP/1.0 needs no Host", async () => {
  expect(await exchange("GET /never-stored HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 404 /);
});

test("a caller that never closes is cut off", async () => {
  const socket = connect({ port: listening.port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.resume();
  socket.write("no HTTP at all\r\n\r\n");
  await once(socket, "end");
  socket.on("close", () => {});
  while (!socket.destroyed) {
    socket.write("x"); // what is written to a closed connection is reset
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});
