/** A connection over memjs, where the server does not do as it should; by the link above it, as everybody uses it. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { binaryProtocol } from "../../src/binary/protocol.ts";
import { OPCODE, STATUS } from "../../src/binary/wire.ts";
import { metaGet, metaSet } from "../../src/memcached/commands.ts";
import { LinkPool, type LinkPoolOptions } from "../../src/memcached/pool.ts";
import { failureOf } from "../memcached/support.ts";
import { BinaryScripted, hit, response } from "./scripted.ts";

let server: BinaryScripted;
let pool: LinkPool;
const node = () => ({ name: "a", address: server.address });
const get = (key: string) => pool.exchange(node(), [metaGet(key, "v f c")]);
const set = (key: string) => pool.exchange(node(), [metaSet(key, Buffer.from("x"), { flags: 0, ttl: 0 })]);

function open(options: LinkPoolOptions = {}): void {
  const protocol = binaryProtocol(undefined, false);
  pool = new LinkPool({ protocol, timeoutMs: 60_000, connectTimeoutMs: 60_000, random: () => 0, ...options });
}

beforeEach(async () => {
  server = await BinaryScripted.listen();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all([pool.close(), server.close()]);
});

test("a flush is one write; replies in pieces of any size are replies", async () => {
  open({ fenceKey: "ringshift:fence:t" });
  server.script = (request, socket) => {
    const fence = request.key.startsWith("ringshift");
    for (const byte of hit(request, fence ? "3 0123456789abcdef" : `value of ${request.key}`))
      socket.write(Buffer.of(byte));
  };
  const answers = await Promise.all(["a", "b", "c"].map(get));
  expect(answers.map(({ replies }) => replies[0]!.value!.toString())).toEqual([
    "value of a",
    "value of b",
    "value of c",
  ]);
  expect(answers[0]).toMatchObject({
    replies: [{ status: "VA", flags: 0, cas: "7" }],
    fence: { number: 3, incarnation: "0123456789abcdef" },
    connection: { incarnation: "0123456789abcdef" },
  });
  expect(server.requests.map(({ key }) => key)).toEqual(["a", "b", "c", "ringshift:fence:t"]);
});

test("a server that is silent: what was sent fails as sent, and its late answer reaches nobody", async () => {
  open({ timeoutMs: 1_000 });
  let late: () => void = () => {};
  server.script = (request, socket) => {
    late = () => socket.write(hit(request, "late"));
  };
  expect(await failureOf(set("k"))).toMatchObject({ sent: true, error: { code: "TIMEOUT", node: "a" } });
  late();
  server.script = (request, socket) => socket.write(hit(request, "in time"));
  expect((await get("k")).replies[0]!.value!.toString()).toBe("in time");
  expect(server.connections).toBe(2);
});

test("a connection that is closed or reset: what was sent fails as sent, the next command opens another", async () => {
  open();
  for (const end of ["end", "resetAndDestroy"] as const) {
    server.script = (_, socket) => socket[end]();
    expect(await failureOf(get("k"))).toMatchObject({ sent: true, error: { code: "NODE_DOWN" } });
    server.script = (request, socket) => socket.write(response(request, { status: STATUS.notFound }));
    expect((await get("k")).replies[0]!.status).toBe("EN");
  }
});

test.each([
  ["magic", 0],
  ["opcode", 1],
])("a response with another %s ends the connection", async (_, at) => {
  open();
  server.script = (request, socket) => {
    const wrong = hit(request, "wrong");
    wrong[at]! ^= 0x40;
    socket.write(wrong);
  };
  expect(await failureOf(get("k"))).toMatchObject({ sent: true, error: { code: "NODE_DOWN" } });
});

test("responses out of their turn end the connection", async () => {
  open();
  const held: Buffer[] = [];
  server.script = (request, socket) => {
    held.unshift(hit(request, request.key));
    if (held.length === 2) for (const one of held) socket.write(one);
  };
  const failures = await Promise.all([failureOf(get("a")), failureOf(get("b"))]);
  expect(failures.map(({ sent }) => sent)).toEqual([true, true]);
});

test("a server that hangs up on the greeting: nothing was sent", async () => {
  open();
  server.greeting = (_, socket) => socket.end();
  expect(await failureOf(set("k"))).toMatchObject({ sent: false, error: { code: "NODE_DOWN" } });
  expect(server.requests).toEqual([]);
});

test("a server that wants credentials that nobody has: AUTH_FAILED, nothing was sent", async () => {
  open();
  server.greeting = (request, socket) => socket.write(response(request, { status: STATUS.authError }));
  expect(await failureOf(set("k"))).toMatchObject({ sent: false, error: { code: "AUTH_FAILED" } });
});

test("credentials in the environment are not ours", async () => {
  for (const name of ["MEMCACHIER", "MEMCACHE"]) {
    vi.stubEnv(`${name}_USERNAME`, "somebody");
    vi.stubEnv(`${name}_PASSWORD`, "else");
  }
  open();
  const seen: number[] = [];
  server.greeting = (request, socket) => {
    seen.push(request.opcode);
    socket.write(response(request));
  };
  await set("k");
  expect(seen).toEqual([OPCODE.noop]);
});

test("a command without a binary form fails unsent, its neighbours in the flush are answered", async () => {
  open();
  server.script = (request, socket) => socket.write(hit(request, "there"));
  const [before, meta, after] = [get("a"), pool.exchange(node(), [metaGet("b", "t")]), get("c")];
  expect(await failureOf(meta)).toMatchObject({ sent: false, error: { code: "NOT_SUPPORTED", node: "a" } });
  for (const one of [before, after]) expect((await one).replies[0]!.status).toBe("VA");
  expect(server.requests.map(({ key }) => key)).toEqual(["a", "c"]);
});

test("closing waits for what is in flight", async () => {
  open();
  let answer: () => void = () => {};
  const asked = new Promise<void>((resolve) => {
    server.script = (request, socket) => {
      answer = () => socket.write(hit(request, "there"));
      resolve();
    };
  });
  const reading = get("k");
  await asked;
  const closing = pool.close();
  answer();
  expect((await reading).replies[0]!.status).toBe("VA");
  await closing;
  expect(await failureOf(get("k"))).toMatchObject({ sent: false, error: { code: "CLOSED" } });
});

test("statistics come as several responses; an error in place of them is told", async () => {
  open();
  server.script = (request, socket) => {
    const one = response(request, { value: Buffer.from("4") });
    const named = Buffer.concat([one.subarray(0, 24), Buffer.from("threads4")]);
    named.writeUInt16BE("threads".length, 2);
    named.writeUInt32BE("threads4".length, 8);
    socket.write(Buffer.concat([named, response(request)]));
  };
  expect(await pool.admin(node()).stats("settings")).toEqual(new Map([["threads", "4"]]));
  server.script = (request, socket) => socket.write(response(request, { status: STATUS.unknownCommand }));
  await expect(pool.admin(node()).stats("nothing")).rejects.toThrow(/0x81/);
  server.script = (_, socket) => socket.end();
  await expect(pool.admin(node()).version()).rejects.toMatchObject({ code: "NODE_DOWN" });
});
