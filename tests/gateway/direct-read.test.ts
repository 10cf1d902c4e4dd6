/** The way past the application answers as the application does: the same requests to a port with it and to one without. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createDirectReads } from "../../src/gateway/data/direct-read.ts";
import { type Listening, listen } from "../../src/gateway/http/listen.ts";
import { useDataPort } from "./support.ts";

const port = useDataPort();
/** Statuses by the order of the answers, of each port. */
const counted: Record<"direct" | "plain", number[]> = { direct: [], plain: [] };
/** Requests that went past the application. */
let taken = 0;
let direct: Listening;
let plain: Listening;

beforeAll(async () => {
  const reads = createDirectReads({ ...port.options, onAnswer: (_, status) => counted.direct.push(status) });
  direct = await listen(port.handler, {
    host: "127.0.0.1",
    port: 0,
    name: "data",
    direct: (incoming, outgoing) => {
      const took = reads(incoming, outgoing);
      if (took) taken++;
      return took;
    },
  });
  plain = await listen(port.handler, { host: "127.0.0.1", port: 0, name: "data" });
});
afterAll(async () => {
  await direct?.close(0);
  await plain?.close(0);
});

/** Sends the bytes, and reads until the server closes. Dates and CAS tokens stay: both ports see the same store within a second or so. */
async function exchange({ port: at }: Listening, text: string): Promise<string> {
  const socket = connect(at, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.write(text, "latin1");
  await once(socket, "end");
  socket.end();
  return Buffer.concat(chunks).toString("latin1");
}

/** An answer with its header lines in one order and one spelling, and without the date. */
function normal(answer: string): unknown {
  const [head = "", ...body] = answer.split("\r\n\r\n");
  const [status, ...lines] = head.split("\r\n");
  const headers = lines.map((line) => line.replace(/^[^:]*/, (name) => name.toLowerCase()));
  return { status, headers: headers.filter((line) => !line.startsWith("date:")).sort(), body: body.join("\r\n\r\n") };
}

const request = (target: string, lines: readonly string[] = [], version = "1.1") =>
  [`GET ${target} HTTP/${version}`, "Host: 127.0.0.1", "Connection: close", ...lines, "", ""].join("\r\n");

const VALUES: Readonly<Record<string, unknown>> = {
  text: "hello",
  empty: "",
  unicode: 'ü 日本語 🙂 "quoted" \u2028',
  latin: "\u00e4\u00ff",
  number: 12.5,
  bigint: 2n ** 63n,
  null: null,
  json: { a: [1, { b: "ü" }] },
  bytes: Buffer.from([0, 255, 10, 13]),
  large: "x".repeat(300_000),
};
const PUTS: Readonly<Record<string, readonly [string, string | Buffer]>> = {
  "put-image": ["image/png", Buffer.from([137, 80, 78, 71, 0, 13, 10, 13, 10])],
  "put-json": ["application/json", '{"a": 1}'],
  "put-text": ["text/plain; charset=utf-8", "ü"],
  "put-latin": ["text/plain; charset=latin1", Buffer.from([0xe4])],
};
const ACCEPTS = [
  undefined,
  "*/*",
  "application/json",
  "text/plain",
  "image/*",
  "text/plain;q=0.5, application/json;q=0.1",
  "application/octet-stream",
  "no such thing",
];

async function sameAnswers(text: string, expected?: RegExp): Promise<void> {
  const before = taken;
  const through = await exchange(direct, text);
  expect(taken, text).toBe(before + 1);
  expect(normal(through), text).toEqual(normal(await exchange(plain, text)));
  if (expected !== undefined) expect(through).toMatch(expected);
}

describe("a direct read", () => {
  beforeAll(async () => {
    for (const [key, value] of Object.entries(VALUES)) await port.cache.client.set(key, value);
    for (const [key, [type, body]] of Object.entries(PUTS)) {
      await port.send("PUT", `/${key}`, { body, headers: { "content-type": type } });
    }
  });

  test.each([...Object.keys(VALUES), ...Object.keys(PUTS)])(
    "of %s answers every Accept as the application",
    async (key) => {
      for (const accept of ACCEPTS) {
        await sameAnswers(
          request(`/${key}`, accept === undefined ? [] : [`Accept: ${accept}`]),
          /^HTTP\/1.1 (200|406) /,
        );
      }
      await sameAnswers(request(`/${key}`, ["Accept: image/png", "Accept: text/plain"]));
    },
  );

  test("of nothing is a 404, with the node that was asked", async () => {
    await sameAnswers(request("/never-stored"), /^HTTP\/1.1 404 [\s\S]*x-cacheserver-index: \d/);
  });

  test("keeps the conditions", async () => {
    const etag = /etag: (.*)\r/.exec(await exchange(direct, request("/text")))![1]!;
    for (const tags of [etag, `W/${etag}`, `"1.1.1", ${etag}`, "*"]) {
      await sameAnswers(request("/text", [`If-None-Match: ${tags}`]), /^HTTP\/1.1 304 /);
    }
    await sameAnswers(request("/text", ['If-None-Match: "1.2.3"']), /^HTTP\/1.1 200 /);
    await sameAnswers(request("/never-stored", ["If-None-Match: *"]), /^HTTP\/1.1 404 /);
  });

  test("says what is left of the time to live", async () => {
    await port.cache.client.set("short", "lived", { ttl: 1000 });
    const answer = await exchange(direct, request("/short"));
    expect(answer).toMatch(/x-cacheserver-ttl: (999|1000)\r/);
  });

  test("keeps to HTTP/1.0", async () => {
    await sameAnswers(request("/text", [], "1.0"), /^HTTP\/1.1 200 /);
  });

  test("answers pipelined requests in their order, direct ones or not", async () => {
    const one = (target: string) => `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    const targets = ["/text", "/%74ext", "/number", "/never-stored", "/put-image", "/null"];
    const text = targets.map(one).join("") + request("/json");
    const bodies = (answer: string) =>
      answer.match(/\{"(?:value|type)":.*?\}(?=HTTP|$)/g)!.map((body) => body.slice(0, 12));
    const through = bodies(await exchange(direct, text));
    expect(through).toHaveLength(7);
    expect(through).toEqual(bodies(await exchange(plain, text)));
  });

  test("is counted with its status", async () => {
    counted.direct.length = 0;
    for (const target of ["/text", "/never-stored"]) await exchange(direct, request(target));
    await exchange(direct, request("/text", ["If-None-Match: *"]));
    expect(counted.direct).toEqual([200, 404, 304]);
  });

  test("of a caller that goes away harms nobody", async () => {
    const before = taken;
    for (let i = 0; i < 20; i++) {
      const socket = connect(direct.port, "127.0.0.1");
      await once(socket, "connect");
      socket.write(request("/large"), () => socket.destroy());
    }
    await vi.waitFor(() => expect(taken).toBe(before + 20));
    await sameAnswers(request("/text"));
  });
});

describe("the application keeps", () => {
  test.each([
    ["HEAD", "HEAD /text HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"],
    ["encoded keys", request("/te%78t")],
    ["queries", request("/text?a=1")],
    ["batches", request("/?key=text&key=number")],
    ["bad keys", request("/a/../text")],
    ["reserved keys", request("/ringshift:managed")],
    ["absolute targets", request("http://127.0.0.1/text")],
    ["odd hosts", "GET /text HTTP/1.1\r\nHost: [::1]:99\r\nConnection: close\r\n\r\n"],
    ["DELETE", "DELETE /never-stored HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"],
  ])("%s", async (_, text) => {
    const before = taken;
    const through = await exchange(direct, text);
    expect(taken).toBe(before);
    expect(normal(through)).toEqual(normal(await exchange(plain, text)));
  });
});
