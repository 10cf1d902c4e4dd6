/** What the data port answers when it stores and reads nothing, and what it says about the cluster with every answer. */
import { describe, expect, test } from "vitest";
import { stats } from "../../src/memcached/admin.ts";
import { keyOfBytes } from "../../src/memcached/key.ts";
import { json, postTo, useDataPort } from "./support.ts";

const port = useDataPort();
const post = postTo(port);

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
    ["an integer that a double rounds", "POST", "/k", '{"value":9007199254740993}', "INVALID_VALUE"],
    ["one inside of a value", "POST", "/k", '{"value":{"a":[-9007199254740993]}}', "INVALID_VALUE"],
    ["one of a batch", "POST", "/", '{"set":{"k":1,"l":12345678901234567890}}', "INVALID_VALUE"],
    ["a number beyond a double inside of a value", "POST", "/k", '{"value":[1e400]}', "INVALID_VALUE"],
    ["no value", "POST", "/k", "{}", "INVALID_VALUE"],
    ["something else than an object", "POST", "/k", "[1]", "INVALID_OPTION"],
    ["an unknown property", "POST", "/k", '{"value":1,"tll":3}', "INVALID_OPTION"],
    ["an unknown parameter", "POST", "/k?tll=5", '{"value":1}', "INVALID_OPTION"],
    ["a bad TTL", "POST", "/k?ttl=soon", '{"value":1}', "INVALID_TTL"],
    ["a negative TTL", "PUT", "/k?ttl=-1", "x", "INVALID_TTL"],
    ["a bad batch", "POST", "/", '{"get":["a"],"delete":["b"]}', "INVALID_OPTION"],
    ["an empty batch", "POST", "/", '{"get":[]}', "INVALID_OPTION"],
    ["a batch's TTL beside its body", "POST", "/?ttl=5", '{"set":{"k":1}}', "INVALID_OPTION"],
    ["a batch with an unknown parameter", "POST", "/?foo=bar", '{"get":["k"]}', "INVALID_OPTION"],
    ["a DELETE with an unknown parameter", "DELETE", "/k?foo=bar", undefined, "INVALID_OPTION"],
    ["a DELETE with a TTL", "DELETE", "/k?ttl=5", undefined, "INVALID_OPTION"],
    ["a key with a segment .. in a batch", "POST", "/", '{"set":{"a/../b":1}}', "INVALID_KEY"],
    ["a key that is a segment . in a batch", "GET", "/?key=.", undefined, "INVALID_KEY"],
    ["a key with half an escape in a batch", "GET", "/?key=%f", undefined, "INVALID_KEY"],
    ["one bad key in a batch", "POST", "/", '{"set":{"fine":1,"not fine":2}}', "INVALID_KEY"],
  ])("%s is a 400", async (_, method, target, body, code) => {
    const response = await port.send(method, target, body === undefined ? {} : { body });
    expect([response.status, (await json(response)).code]).toEqual([400, code]);
  });

  test.each([
    ["GET", "/k?ttl=3&foo=bar", 'Unknown query parameter "ttl"; a read of one key takes none.'],
    ["GET", "/%6b?key=l", 'Unknown query parameter "key"; a read of one key takes none.'],
    ["DELETE", "/k?foo", 'Unknown query parameter "foo"; DELETE takes none.'],
    ["PUT", "/k?tll=3", 'Unknown query parameter "tll"; did you mean ttl?'],
    ["PUT", "/k?expires=3", 'Unknown query parameter "expires"; a write takes ttl.'],
    ["GET", "/?keys=a", 'Unknown query parameter "keys"; did you mean key?'],
    ["GET", "/?key=a&ttl=3", 'Unknown query parameter "ttl"; GET / takes key, once for every key.'],
  ])("%s %s says what it takes, or what was meant", async (method, target, detail) => {
    const response = await port.send(method, target);
    expect([response.status, await json(response)]).toEqual([400, expect.objectContaining({ detail })]);
  });

  test("HEAD of one key refuses parameters too; a query without any is none", async () => {
    await post("/queried", 1);
    const status = async (method: string, target: string) => (await port.send(method, target)).status;
    expect(await status("HEAD", "/queried?ttl=3")).toBe(400);
    expect([await status("HEAD", "/queried?"), await status("GET", "/queried?")]).toEqual([200, 200]);
  });

  test.each([
    ["if-match", "*", /go with one key/],
    ["if-none-match", "*", /go with one key/],
    ["cache-control", "max-age=60", /"ttl": 60/],
  ])("%s on a batch is a 400 that says where it belongs, and stores nothing", async (name, value, detail) => {
    const headers = { [name]: value };
    const response = await port.send("POST", "/", { body: '{"set":{"stray":1}}', headers });
    expect([response.status, (await json(response)).detail]).toEqual([400, expect.stringMatching(detail)]);
    expect((await port.send("GET", "/stray")).status).toBe(404);
  });

  test("a key of bytes that are no UTF-8 is the same in a path and in a batch", async () => {
    await post("/%ff%fe", "bytes");
    const answer = await json(await port.send("GET", "/?key=%ff%fe&key=%EF%BF%BD&key=ab%3D"));
    const key = keyOfBytes(Buffer.from([0xff, 0xfe]));
    expect(answer).toEqual({ items: { [key]: { value: "bytes" } }, missing: ["\ufffd", "ab="] });
  });

  test("what is wrong with a key is said without options that the gateway does not have", async () => {
    for (const answer of [await port.send("GET", "/a%20b"), await port.send("GET", "/?key=a+b")])
      expect((await json(answer)).detail).toBe("The key holds a blank or a control character.");
  });

  test("a batch with a bad key stores nothing", async () => {
    await port.send("POST", "/", { body: '{"set":{"fine":1,"not fine":2}}' });
    expect((await port.send("GET", "/fine")).status).toBe(404);
  });

  test("an unknown method is a 405 that says which there are", async () => {
    const response = await port.send("PATCH", "/k", { body: "x" });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, POST, PUT, DELETE"]);
  });

  test.each(["PUT", "DELETE", "PATCH"])(
    "%s of the path without a key is a 405 that says which there are",
    async (method) => {
      const response = await port.send(method, "/", { ...(method === "DELETE" ? {} : { body: "x" }) });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
    },
  );

  test("HEAD of a batch is its GET without the body", async () => {
    await post("/headed", 1);
    const head = await port.send("HEAD", "/?key=headed");
    const get = await port.send("GET", "/?key=headed");
    const length = String((await get.text()).length);
    expect([head.status, head.body, head.headers.get("content-length")]).toEqual([200, null, length]);
    expect((await port.send("HEAD", "/")).status).toBe(400);
  });

  test("a compressed body is a 415, and nothing is stored", async () => {
    const response = await port.send("PUT", "/zipped", { body: "x", headers: { "content-encoding": "gzip" } });
    expect([response.status, (await json(response)).code]).toEqual([415, "UNSUPPORTED_ENCODING"]);
    expect((await port.send("GET", "/zipped")).status).toBe(404);
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
