/** What the data port stores is what it reads, and what other clients read. What else it answers: data-answers.test.ts. */
import { describe, expect, test } from "vitest";
import { keyOfBytes } from "../../src/memcached/key.ts";
import { json, postTo, useDataPort } from "./support.ts";

const port = useDataPort();
const post = postTo(port);

describe("one key", () => {
  test("is stored, read, deleted, and then is not there", async () => {
    expect((await post("/greeting", "hello")).status).toBe(201);
    const read = await port.send("GET", "/greeting");
    expect(read.status).toBe(200);
    expect(await json(read)).toEqual({ value: "hello" });
    expect((await port.send("DELETE", "/greeting")).status).toBe(204);
    expect((await port.send("DELETE", "/greeting")).status).toBe(404);
    const gone = await port.send("GET", "/greeting");
    expect(gone.status).toBe(404);
    expect(gone.headers.get("content-type")).toBe("application/problem+json");
    expect(await json(gone)).toMatchObject({ code: "NOT_FOUND", status: 404 });
  });

  test.each([["text"], [""], [12.5], [true], [null], [{ a: [1, { b: "ü" }] }], [[]]])(
    "keeps the JSON value %j",
    async (value) => {
      await post("/json", value);
      expect(await json(await port.send("GET", "/json"))).toEqual({ value });
    },
  );

  test("is what other clients of the cluster read and wrote", async () => {
    await post("/shared", { from: "http" });
    expect(await port.cache.client.get("shared")).toEqual({ from: "http" });
    await port.cache.client.set("shared", Buffer.from([0, 255]));
    expect(await json(await port.send("GET", "/shared"))).toEqual({ value: "AP8=", encoding: "base64" });
  });

  test("is a JSON number of all its digits where another client stored a bigint", async () => {
    await port.cache.client.set("big", 2n ** 63n);
    expect(await (await port.send("GET", "/big")).text()).toBe('{"value":9223372036854775808}');
    expect(await (await port.send("GET", "/?key=big")).text()).toContain('{"value":9223372036854775808}');
  });

  test("keeps JSON that was PUT digit for digit, in the document too", async () => {
    const body = '{ "id" : 9007199254740993 }';
    await port.send("PUT", "/digits", { body, headers: { "content-type": "application/json" } });
    const document = `{"value":${body},"contentType":"application/json"}`;
    expect(await (await port.send("GET", "/digits")).text()).toBe(document);
    expect(await (await port.send("GET", "/?key=digits")).text()).toBe(`{"items":{"digits":${document}},"missing":[]}`);
  });

  test("takes any UTF-8 key that memcached takes, percent-encoded", async () => {
    for (const key of ["schlüssel/ö", "a:b;c=d", "__proto__", "%", "日本語", `"quoted"`, "k".repeat(250)]) {
      const target = `/${encodeURIComponent(key)}`;
      expect((await post(target, key)).status).toBe(201);
      expect(await port.cache.client.get(key)).toBe(key);
      expect(await json(await port.send("GET", target))).toEqual({ value: key });
    }
  });

  test("takes any other bytes that memcached takes", async () => {
    for (const target of ["/%ff", "/%C3%28", "/a%80%FEb", "/%ed%a0%80"]) {
      expect((await post(target, target)).status).toBe(201);
      expect(await json(await port.send("GET", target))).toEqual({ value: target });
      const bytes = Buffer.from(unescape(target.slice(1)), "latin1");
      expect(await port.cache.client.get(keyOfBytes(bytes))).toBe(target);
      expect((await port.send("DELETE", target)).status).toBe(204);
    }
    expect((await port.send("GET", "/%ff%00")).status).toBe(400);
  });

  test("answers HEAD without a body", async () => {
    await post("/head", "12345");
    const response = await port.send("HEAD", "/head");
    expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([200, "17", ""]);
    expect((await port.send("HEAD", "/no-head")).status).toBe(404);
  });
});

describe("raw values", () => {
  test.each([
    ["image/png", Buffer.from([0x89, 0x50, 0, 255, 13, 10])],
    ["application/octet-stream", Buffer.from([0, 1, 2, 255])],
    ["text/plain", Buffer.from("grüße")],
    ["text/plain; charset=iso-8859-1", Buffer.from([0xfc])],
    ["application/json", Buffer.from('{ "a" :  1.0 }')],
    ["application/octet-stream", Buffer.from("ringshift-content-type: text/html\r\n\r\n<script>")],
  ])("%s comes back byte by byte", async (type, body) => {
    expect((await port.send("PUT", "/raw", { body, headers: { "content-type": type } })).status).toBe(201);
    const response = await port.send("GET", "/raw", { headers: { accept: type.split(";")[0]! } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")?.split(";")[0]).toBe(type.split(";")[0]);
    expect(Buffer.from(await response.arrayBuffer())).toEqual(body);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("are a JSON document to whoever asks for nothing else", async () => {
    const put = (type: string, body: string | Buffer) =>
      port.send("PUT", "/doc", { body, headers: { "content-type": type } });
    await put("application/json", '{ "a" : 1 }');
    expect(await json(await port.send("GET", "/doc"))).toEqual({ value: { a: 1 }, contentType: "application/json" });
    await put("text/html", "<b>");
    expect(await json(await port.send("GET", "/doc"))).toEqual({ value: "<b>", contentType: "text/html" });
    await put("image/png", Buffer.from([255]));
    expect(await json(await port.send("GET", "/doc"))).toEqual({
      value: "/w==",
      encoding: "base64",
      contentType: "image/png",
    });
    expect((await port.send("GET", "/doc", { headers: { accept: "text/css" } })).status).toBe(406);
  });

  test("text that was PUT is text to other clients", async () => {
    await port.send("PUT", "/text", { body: "hello", headers: { "content-type": "text/plain" } });
    expect(await port.cache.client.get("text")).toBe("hello");
  });

  test("what was POSTed as JSON stays a document for Accept: application/json", async () => {
    await post("/posted", { a: 1 });
    const response = await port.send("GET", "/posted", { headers: { accept: "application/json" } });
    expect(await json(response)).toEqual({ value: { a: 1 } });
  });
});

describe("time to live", () => {
  test.each([
    ["/ttl?ttl=100", {}],
    ["/ttl", { "cache-control": "private, max-age=100" }],
    ["/ttl?ttl=100", { "cache-control": "max-age=5" }],
  ])("by %s %j", async (target, headers) => {
    await post(target, 1, headers);
    const left = Number((await port.send("GET", "/ttl")).headers.get("x-cacheserver-ttl"));
    expect(left).toBeGreaterThan(95);
    expect(left).toBeLessThanOrEqual(100);
  });

  test("none, or 0: never expires", async () => {
    for (const target of ["/ttl", "/ttl?ttl=0"]) {
      await post(target, 1);
      expect((await port.send("GET", "/ttl")).headers.has("x-cacheserver-ttl")).toBe(false);
    }
  });

  test("max-age=0 does not mean for ever", async () => {
    const response = await post("/ttl", 1, { "cache-control": "max-age=0" });
    expect([response.status, (await json(response)).code]).toEqual([400, "INVALID_TTL"]);
  });
});

describe("conditions", () => {
  test("If-Match with the ETag is a compare-and-set, once", async () => {
    await post("/cas", 1);
    const etag = (await port.send("GET", "/cas")).headers.get("etag")!;
    expect((await post("/cas", 2, { "if-match": etag })).status).toBe(201);
    const again = await post("/cas", 3, { "if-match": etag });
    expect([again.status, (await json(again)).code]).toEqual([412, "PRECONDITION_FAILED"]);
    const now = (await port.send("GET", "/cas")).headers.get("etag")!;
    expect(now).not.toBe(etag);
    expect((await post("/cas", 4, { "if-match": `${etag}, ${now}` })).status).toBe(201);
    expect(await json(await port.send("GET", "/cas"))).toEqual({ value: 4 });
  });

  test("the right tag behind many others counts, on a write and on a read", async () => {
    await post("/many", 1);
    const etag = (await port.send("GET", "/many")).headers.get("etag")!;
    const tags = [...Array.from({ length: 300 }, (_, i) => `"${i}.ff.0"`), etag].join(", ");
    expect((await port.send("GET", "/many", { headers: { "if-none-match": tags } })).status).toBe(304);
    expect((await post("/many", 2, { "if-match": tags })).status).toBe(201);
    expect((await post("/many", 3, { "if-match": tags })).status).toBe(412);
  });

  test.each(['"1.ff.99"', 'W/"1.ff.0"', '"text"', "garbage"])("If-Match %s matches nothing", async (tag) => {
    await post("/cas", 1);
    expect((await post("/cas", 2, { "if-match": tag })).status).toBe(412);
    expect(await json(await port.send("GET", "/cas"))).toEqual({ value: 1 });
  });

  test("If-None-Match: * adds, If-Match: * replaces", async () => {
    await port.send("DELETE", "/if");
    expect((await post("/if", 1, { "if-match": "*" })).status).toBe(412);
    expect((await post("/if", 1, { "if-none-match": "*" })).status).toBe(201);
    expect((await post("/if", 2, { "if-none-match": "*" })).status).toBe(412);
    expect((await post("/if", 3, { "if-match": "*" })).status).toBe(201);
    expect(await json(await port.send("GET", "/if"))).toEqual({ value: 3 });
    expect((await post("/if", 4, { "if-none-match": '"1.2.3"' })).status).toBe(400);
  });

  test("a read that has the value already is a 304", async () => {
    await post("/etag", 1);
    const etag = (await port.send("GET", "/etag")).headers.get("etag")!;
    expect((await port.send("GET", "/etag", { headers: { "if-none-match": etag } })).status).toBe(304);
    await post("/etag", 1);
    expect((await port.send("GET", "/etag", { headers: { "if-none-match": etag } })).status).toBe(200);
  });

  test("the document and the raw value have tags of their own, and a write takes either", async () => {
    const image = { accept: "image/png" };
    const put = (headers = {}) =>
      port.send("PUT", "/img", { body: Buffer.from([255, 1]), headers: { "content-type": "image/png", ...headers } });
    const tagOf = async (headers: Record<string, string>) =>
      (await port.send("GET", "/img", { headers })).headers.get("etag")!;
    const get = async (headers: Record<string, string>) => (await port.send("GET", "/img", { headers })).status;
    await put();
    const [document, raw] = [await tagOf({}), await tagOf(image)];
    expect(raw).toBe(document.replace(/"$/, '.raw"'));
    expect(await get({ "if-none-match": document })).toBe(304);
    expect(await get({ ...image, "if-none-match": raw })).toBe(304);
    expect(await get({ ...image, "if-none-match": document })).toBe(200);
    expect(await get({ "if-none-match": raw })).toBe(200);
    expect((await put({ "if-match": raw })).status).toBe(201);
    expect((await put({ "if-match": raw })).status).toBe(412);
    expect((await put({ "if-match": await tagOf({}) })).status).toBe(201);
    expect((await put({ "if-match": `${await tagOf({})}, ${await tagOf(image)}` })).status).toBe(201);
  });

  test("a read that can answer in no form is a 406, whatever it has already", async () => {
    await post("/etag", 1);
    const headers = { accept: "image/png", "if-none-match": "*" };
    expect((await port.send("GET", "/etag", { headers })).status).toBe(406);
  });

  test("DELETE does not ignore a condition that it cannot hold", async () => {
    await post("/etag", 1);
    expect((await port.send("DELETE", "/etag", { headers: { "if-match": '"1.2.0"' } })).status).toBe(400);
    expect((await port.send("DELETE", "/etag", { headers: { "if-match": "*" } })).status).toBe(204);
    expect((await port.send("DELETE", "/etag", { headers: { "if-match": "*" } })).status).toBe(412);
  });
});

describe("batches", () => {
  test("set, get and delete many keys", async () => {
    const set = await port.send("POST", "/", { body: '{"set":{"b1":1,"b2":"two","__proto__":3},"ttl":100}' });
    expect([set.status, await json(set)]).toEqual([201, { stored: ["b1", "b2", "__proto__"] }]);
    const got = await port.send("POST", "/", { body: '{"get":["b1","b2","b3","b1"]}' });
    expect(await json(got)).toEqual({ items: { b1: { value: 1 }, b2: { value: "two" } }, missing: ["b3"] });
    expect(await json(await port.send("GET", "/?key=b2&key=b3"))).toEqual({
      items: { b2: { value: "two" } },
      missing: ["b3"],
    });
    expect(Number((await port.send("GET", "/b1")).headers.get("x-cacheserver-ttl"))).toBeGreaterThan(95);
    const removed = await port.send("POST", "/", { body: '{"delete":["b1","b3"]}' });
    expect(await json(removed)).toEqual({ deleted: ["b1"], missing: ["b3"] });
  });
});
