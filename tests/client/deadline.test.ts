/** `timeoutMs` ends every call, whatever its server may take for an answer and however much waits before it. */
import { expect, onTestFinished, test } from "vitest";
import { type Client, type ClientOptions, createClient, type RingshiftError } from "../../src/index.ts";
import { answerEmpty, type Script, ScriptedServer } from "../../src/testing/scripted-server.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });
/** Longer than any test here may take. */
const PATIENCE_MS = 600_000;

/** A client of a server whose answers it would wait for all day. */
async function start(script: Script, options: Partial<ClientOptions> = {}) {
  const server = await ScriptedServer.listen(script);
  const client = await createClient({
    servers: [server.address],
    timeoutMs: 300,
    ioTimeoutMs: PATIENCE_MS,
    ...options,
  });
  onTestFinished(async () => {
    await server.close(); // breaks the connections: `quit` waits for what is in flight
    await client.quit();
  });
  return { client, server };
}

/** Answers nothing about the test's keys. */
const hang: Script = (request) => (/ k2? /.test(`${request.line} `) ? [{ hang: true }] : answerEmpty(request));

const CALLS: readonly [string, string, (client: Client) => Promise<unknown>][] = [
  ["get", "TIMEOUT", (client) => client.get("k")],
  ["gets", "TIMEOUT", (client) => client.gets("k")],
  ["getMulti", "TIMEOUT", (client) => client.getMulti(["k", "k2"])],
  ["set", "AMBIGUOUS_WRITE", (client) => client.set("k", 1)],
  ["delete", "AMBIGUOUS_WRITE", (client) => client.delete("k")],
  ["incr", "AMBIGUOUS_WRITE", (client) => client.incr("k")],
  ["add", "AMBIGUOUS_WRITE", (client) => client.add("k", 1)],
  ["touch", "AMBIGUOUS_WRITE", (client) => client.touch("k", 60)],
];

test.each(CALLS)("%s of a server that does not answer ends with %s", async (_, code, run) => {
  const { client, server } = await start(hang);
  const error = await run(client).then(
    () => undefined,
    (error: RingshiftError) => error,
  );
  expect(error).toMatchObject({ code, key: "k", node: server.address });
  expect(client.metrics().ambiguousWrites).toBe(code === "TIMEOUT" ? 0 : 1);
});

test("what waits behind too much for its server is not sent when its time is up, and says so", async () => {
  const options = { timeoutMs: 1_000, ioTimeoutMs: PATIENCE_MS };
  const client = await createClient({ servers: bench.local.servers, unmanaged: true, ...options });
  onTestFinished(() => client.quit());
  await client.set("k0", "before");
  const server = bench.local.memcached[0]!;
  await server.kill("SIGSTOP");
  const [value, count] = ["x".repeat(500), 40_000]; // more than the sockets hold; each small enough to be sent without a look at the size limit
  const outcomes = await Promise.allSettled(Array.from({ length: count }, (_, i) => client.set(`k${i}`, value)));
  await server.kill("SIGCONT");
  const errors = outcomes.map((outcome) => (outcome.status === "rejected" ? outcome.reason : undefined));
  const unsent = errors.filter((error) => error?.code === "TIMEOUT");
  expect(unsent.length).toBeGreaterThan(0);
  expect(unsent.every(({ message }) => message.includes("nothing was written"))).toBe(true);
  expect(errors.filter((error) => error?.code === "AMBIGUOUS_WRITE")).toHaveLength(count - unsent.length);
  expect(client.metrics().ambiguousWrites).toBe(count - unsent.length);
  const reader = await createClient({ servers: bench.local.servers, unmanaged: true, timeoutMs: PATIENCE_MS });
  onTestFinished(() => reader.quit());
  expect(await reader.getMulti(unsent.map(({ key }) => key))).toEqual(new Map());
});

test("with onNodeDown: miss, a read whose time is up is a miss, counted once", async () => {
  const { client } = await start(hang, { onNodeDown: "miss" });
  expect(await client.get("k")).toBeUndefined();
  expect(await client.gets("k")).toBeUndefined();
  expect(await client.getMulti(["k", "k2"])).toEqual(new Map());
  expect(client.metrics()).toMatchObject({ hits: 0, misses: 4 });
});

test("a read that is answered after it was taken for a miss is not counted again", async () => {
  const slow: Script = (request) =>
    / k /.test(`${request.line} `) ? [{ delayMs: 500 }, { send: "VA 1 f0 c5\r\nx\r\n" }] : answerEmpty(request);
  const { client } = await start(slow, { onNodeDown: "miss" });
  expect(await Promise.all([client.get("k"), client.gets("k")])).toEqual([undefined, undefined]);
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  expect(client.metrics()).toMatchObject({ hits: 0, misses: 2 });
});

test("quit() leaves calls that are on their way their time, and no more", async () => {
  const { client } = await start(hang);
  await client.get("x");
  const calls = [client.get("k"), client.getMulti(["k"]), client.delete("k2")];
  await new Promise((resolve) => setTimeout(resolve, 20));
  void client.quit();
  const codes = (await Promise.allSettled(calls)).map((call) => (call.status === "rejected" ? call.reason.code : ""));
  expect(codes).toEqual(["TIMEOUT", "TIMEOUT", "AMBIGUOUS_WRITE"]);
});

test("and so is a read that has waited behind a write of its key", async () => {
  const { client } = await start(hang, { onNodeDown: "miss" });
  const behind = [client.set("k", 1), client.get("k"), client.gets("k")];
  expect(await Promise.allSettled(behind)).toMatchObject([
    { status: "rejected", reason: { code: "AMBIGUOUS_WRITE" } },
    { status: "fulfilled", value: undefined },
    { status: "fulfilled", value: undefined },
  ]);
  expect(client.metrics().misses).toBe(2);
});

test("nothing of a call that was aborted is sent", async () => {
  const client = await createClient({ servers: bench.local.servers, unmanaged: true });
  onTestFinished(() => client.quit());
  await client.set("aborted", Buffer.from("before"));
  const [data, controller] = [Buffer.from("secret"), new AbortController()];
  const call = client.set("aborted", data, { signal: controller.signal });
  controller.abort();
  await expect(call).rejects.toMatchObject({ code: "ABORTED" });
  data.fill("x");
  expect(await client.get("aborted")).toEqual(Buffer.from("before"));
});

test("a touch that was sent and not answered is of unknown effect", async () => {
  let touched = 0;
  const { client } = await start(
    (request) => {
      if (!request.line.startsWith("mg k T")) return answerEmpty(request);
      touched++;
      return [{ reset: true }];
    },
    { timeoutMs: 5_000, ioTimeoutMs: 1_000 },
  );
  await expect(client.touch("k", 60)).rejects.toMatchObject({ code: "AMBIGUOUS_WRITE", key: "k" });
  expect(touched).toBe(2);
});

test("onRejoin: repair: the key of a write whose time is up is on the list of its server", async () => {
  const cluster = bench.cluster(1);
  const client = await cluster.client({ onRejoin: "repair", timeoutMs: 400, ioTimeoutMs: PATIENCE_MS });
  await client.set("lost", 1);
  const server = bench.local.memcached[0]!;
  await server.kill("SIGSTOP");
  try {
    await expect(client.set("lost", 2)).rejects.toMatchObject({ code: "AMBIGUOUS_WRITE" });
    const lists = await bench.redis.keys("*:dirty:*");
    const listed = await Promise.all(lists.map((list) => bench.redis.zrange(list, "0", "-1")));
    expect(listed.flat().filter((member) => member.endsWith("lost"))).toHaveLength(1);
  } finally {
    await server.kill("SIGCONT");
  }
});

test.each(["error", "miss"] as const)(
  "getOrSet that waits for another's load has one time for all of its looks (onNodeDown: %s)",
  async (onNodeDown) => {
    const servers = { servers: bench.local.servers, unmanaged: true, ioTimeoutMs: PATIENCE_MS };
    const loader = await createClient({ ...servers, timeoutMs: PATIENCE_MS });
    const waiter = await createClient({ ...servers, timeoutMs: 2_000, onNodeDown });
    onTestFinished(() => Promise.all([loader.quit(), waiter.quit()]).then(() => {}));
    let finish!: (value: string) => void;
    const load = new Promise<string>((resolve) => {
      finish = resolve;
    });
    const loaded = loader.getOrSet(onNodeDown, 60, () => load);
    await expect.poll(() => loader.metrics().loads).toBe(1);
    const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const order: string[] = [];
    const waits = waiter.getOrSet(onNodeDown, 60, () => "mine").catch(() => order.push("getOrSet"));
    await after(1_700);
    const server = bench.local.memcached[0]!;
    await server.kill("SIGSTOP"); // the next look is not answered: it has 300 ms, not 2,000 of its own
    await Promise.all([waits, after(1_600).then(() => order.push("1,600 ms"))]);
    await server.kill("SIGCONT");
    finish("value");
    expect(await loaded).toBe("value");
    expect(waiter.metrics().loads).toBe(0); // another loads, however long that takes
    expect(order).toEqual(["getOrSet", "1,600 ms"]);
  },
);
