/** Bytes that are no request, or that Hono's adapter refuses: answered as every other failure of the data port, and no server asked. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { malformedAnswer } from "../../src/gateway/data/app.ts";
import { type Listening, listen } from "../../src/gateway/http/listen.ts";
import { useDataPort } from "./support.ts";

const port = useDataPort();
const counted: number[] = [];
let listening: Listening;

beforeAll(async () => {
  const malformed = malformedAnswer({ ...port.options, onAnswer: (_, status) => counted.push(status) });
  listening = await listen(port.handler, { host: "127.0.0.1", port: 0, name: "data", malformed });
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
