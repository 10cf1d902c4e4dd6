import { describe, expect, test } from "vitest";
import { stats } from "../../src/memcached/admin.ts";
import { keyOfBytes } from "../../src/memcached/key.ts";
import { useDataPort } from "./support.ts";

const port = useDataPort();
const post = (target: string, value: unknown, headers = {}) =>
  port.send("POST", target, { body: JSON.stringify({ value }), headers });
const json = async (response: Response) => (await response.json()) as Record<string, unknown>;

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

describe("bad requests", () => {
  test("reach no server", async () => {
    const commands = async () => {
      const all = await Promise.all(port.cluster.servers.map((address) => stats(address)));
      return all.map((one) =>
        ["cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses"].map((name) => one.get(name)),
      );
    };
    const before = await commands();
    const targets = [
      ["/%00", 400],
      ["/a%00b", 400],
      ["/a%0d%0aset%20x", 400],
      ["/a%20b", 400],
      ["/a%0A", 400],
      ["/%7f", 400],
      ["/../etc/passwd", 400],
      ["/a/../b", 400],
      ["/%2e%2e/b", 400],
      ["/%2e%2e%2fb", 400],
      ["/.", 400],
      ["/%2e", 400],
      ["/..", 400],
      ["/a/b", 400],
      ["/a%5c..%5cb", 400],
      ["//", 400],
      ["/a\\b", 400],
      ["/%f", 400],
      ["/%", 400],
      ["/%zz", 400],
      [`/${"k".repeat(251)}`, 400],
      [`/${"%C3%BC".repeat(126)}`, 400],
      [`/${"k".repeat(5000)}`, 400],
      ["/ü", 400],
      ["http://elsewhere/../x", 400],
      ["/ringshift:managed", 400],
      ["/ringshift:fence:default", 400],
    ] as const; // prettier-ignore
    for (const [target, status] of targets) {
      for (const method of ["GET", "POST", "PUT", "DELETE", "HEAD"]) {
        const body = method === "POST" || method === "PUT" ? { body: '{"value":1}' } : {};
        const response = await port.send(method, target, body);
        expect([method, target, response.status]).toEqual([method, target, status]);
        expect(response.headers.get("content-type")).toBe("application/problem+json");
        if (method !== "HEAD") expect(await json(response)).toMatchObject({ code: "INVALID_KEY" });
      }
    }
    const after = await commands();
    // the fences that heartbeats of other tests read are not commands of these requests: nothing was read or written at all
    expect(after).toEqual(before);
  });

  test.each([
    ["no JSON", "POST", "/k", "{", "INVALID_VALUE"],
    ["bytes that are not UTF-8", "POST", "/k", Buffer.from([0x22, 0xff, 0x22]), "INVALID_VALUE"],
    ["no value", "POST", "/k", "{}", "INVALID_VALUE"],
    ["something else than an object", "POST", "/k", "[1]", "INVALID_OPTION"],
    ["an unknown property", "POST", "/k", '{"value":1,"tll":3}', "INVALID_OPTION"],
    ["an unknown parameter", "POST", "/k?tll=5", '{"value":1}', "INVALID_OPTION"],
    ["a bad TTL", "POST", "/k?ttl=soon", '{"value":1}', "INVALID_TTL"],
    ["a negative TTL", "PUT", "/k?ttl=-1", "x", "INVALID_TTL"],
    ["a bad batch", "POST", "/", '{"get":["a"],"delete":["b"]}', "INVALID_OPTION"],
    ["an empty batch", "POST", "/", '{"get":[]}', "INVALID_OPTION"],
    ["one bad key in a batch", "POST", "/", '{"set":{"fine":1,"not fine":2}}', "INVALID_KEY"],
  ])("%s is a 400", async (_, method, target, body, code) => {
    const response = await port.send(method, target, { body });
    expect([response.status, (await json(response)).code]).toEqual([400, code]);
  });

  test("a batch with a bad key stores nothing", async () => {
    await port.send("POST", "/", { body: '{"set":{"fine":1,"not fine":2}}' });
    expect((await port.send("GET", "/fine")).status).toBe(404);
  });

  test("an unknown method is a 405 that says which there are", async () => {
    const response = await port.send("PATCH", "/k", { body: "x" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, POST, PUT, DELETE"]);
  });

  test("a page of another site cannot write", async () => {
    const bodies = [{ "sec-fetch-site": "cross-site" }, { origin: "https://evil.example", host: "127.0.0.1:8000" }];
    for (const headers of bodies) expect((await post("/csrf", 1, headers)).status).toBe(403);
    expect((await port.send("GET", "/csrf")).status).toBe(404);
  });

  test("a value over the server's limit is a 413 and leaves the old one", async () => {
    await post("/large", "small");
    const response = await port.send("PUT", "/large", { body: Buffer.alloc(2 ** 20), headers: {} });
    expect([response.status, (await json(response)).code]).toEqual([413, "VALUE_TOO_LARGE"]);
    expect(await json(await port.send("GET", "/large"))).toEqual({ value: "small" });
  });

  test("a body over the gateway's limit is a 413, announced or not", async () => {
    const body = Buffer.alloc(4 * 2 ** 20 + 1, "x");
    expect((await port.send("PUT", "/large", { body })).status).toBe(413);
    const chunks = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 5; i++) controller.enqueue(new Uint8Array(2 ** 20));
        controller.close();
      },
    });
    const request = new Request("http://gateway.test/large", {
      method: "PUT",
      body: chunks,
      duplex: "half",
    } as RequestInit);
    expect((await port.handler(request)).status).toBe(413);
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

describe("headers about the cluster", () => {
  test("say which node served the key and which there are", async () => {
    await post("/where", 1);
    const { headers } = await port.send("GET", "/where");
    expect(headers.get("x-cacheserver-index")).toBe(String(port.cache.client.locate("where").index));
    expect(headers.get("x-cacheserver-count")).toBe("3");
    expect(headers.get("x-cacheserver-indexes")).toBe("0,1,2");
  });

  test("stand on failures too, the node's index wherever there is a key, else nothing in its place", async () => {
    for (const [method, target, index] of [
      ["GET", "/nothing-here", true],
      ["GET", "/%00", false],
      ["POST", "/no-body", true],
    ] as const) {
      const { headers } = await port.send(method, target);
      expect([target, headers.get("x-cacheserver-index")]).toEqual([
        target,
        index ? expect.stringMatching(/^[012]$/) : "",
      ]);
      expect(headers.get("x-cacheserver-count")).toBe("3");
      expect(headers.get("x-ring-distribution")).toMatch(/^0:\d+,1:\d+,2:\d+$/);
    }
  });

  test("count index entries per node", async () => {
    const expected = new Map([0, 1, 2].map((index) => [index, 0]));
    await port.counter.refresh();
    const before = new Map(port.counter.counts);
    for (let i = 0; i < 300; i++) {
      const key = `counted-${i}`;
      await post(`/${key}`, i);
      const { index } = port.cache.client.locate(key);
      expected.set(index, expected.get(index)! + 1);
    }
    await port.counter.refresh();
    const text = [0, 1, 2].map((index) => `${index}:${before.get(index)! + expected.get(index)!}`).join(",");
    expect((await port.send("GET", "/where")).headers.get("x-ring-distribution")).toBe(text);
  });

  test("leave out a node that is down", async () => {
    port.down.add(1);
    const { headers } = await port.send("GET", "/where");
    expect([headers.get("x-cacheserver-count"), headers.get("x-cacheserver-indexes")]).toEqual(["2", "0,2"]);
    port.down.clear();
  });
});

test("a node that is down is a 503 that names it, other keys are served", async () => {
  const server = port.cluster.memcached[0]!;
  const keys = Array.from({ length: 50 }, (_, i) => `down-${i}`);
  await Promise.all(keys.map((key) => post(`/${key}`, 1)));
  await server.kill("SIGKILL");
  for (const key of keys) {
    const response = await port.send("GET", `/${key}`);
    if (port.cache.client.locate(key).address !== server.address) {
      expect(response.status).toBe(200);
      continue;
    }
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("1");
    expect(await json(response)).toMatchObject({ code: "NODE_DOWN", node: server.address });
    expect(response.headers.get("x-cacheserver-index")).toBe("0");
  }
  const batch = await port.send("POST", "/", { body: JSON.stringify({ get: keys }) });
  expect(batch.status).toBe(207);
  const { items, failed } = (await json(batch)) as { items: object; failed: Record<string, { code: string }> };
  expect(Object.keys(items).length + Object.keys(failed).length).toBe(keys.length);
  expect(Object.values(failed)[0]).toMatchObject({ code: "NODE_DOWN", node: server.address });
  await server.restart();
});
