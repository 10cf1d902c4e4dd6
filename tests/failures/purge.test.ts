/** Rule G where the index has gaps: strays that it does not list are found by metadump, and do not pass for newer values. */
import { once } from "node:events";
import { connect } from "node:net";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { FENCE_KEY_PREFIX } from "../../src/memcached/key.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";
import { type Bench, bench, onEnd } from "./support.ts";

/** Text commands over one connection, each answered by one line. */
async function tellAll(address: string, commands: readonly string[]): Promise<string[]> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
  });
  socket.write(commands.map((command) => `${command}\r\n`).join(""));
  while (answer.split("\r\n").length <= commands.length) await once(socket, "data");
  socket.destroy();
  return answer.split("\r\n").slice(0, -1);
}

test("strays at gaining servers go also when the index lists nothing: no old value passes for a newer one", async () => {
  const b = await bench();
  await b.fill(300);
  for (const { address } of b.servers) {
    const own = new Set(b.keysOn(address));
    const strays = [...b.expected.keys()].filter((key) => !own.has(key));
    const stored = await tellAll(
      address,
      strays.map((key) => `set ${key} 0 0 3\r\nold`),
    );
    expect(new Set(stored)).toEqual(new Set(["STORED"]));
    // as it stands where keys were written without Redis
    expect(await tellAll(address, [`append ${FENCE_KEY_PREFIX}default 0 0 2\r\n u`])).toEqual(["STORED"]);
  }
  const redis = new Redis(b.cluster.redis.url);
  onEnd(async () => redis.disconnect());
  await redis.del(await redis.keys("ringshift:default:keys:*"));
  await b.admin.apply({ kind: "remove-node", names: [b.servers[0]!.address] });
  expect(await b.wrong()).toEqual([]);
});

test("a stray on a server that is known for gaps goes before that server gains its key, whether or not the losing one is", async () => {
  const b = await bench();
  await b.fill(100);
  const [leaving, ...staying] = b.servers;
  const late = Array.from({ length: 60 }, (_, i) => `late:${i}`).filter(
    (key) => b.client.locate(key).node === leaving!.address,
  );
  expect(late.length).toBeGreaterThan(0);
  for (const { address } of staying) {
    // what was sent while Redis did not answer, and arrived when the server had lost its keys
    const sets = late.map((key) => `set ${key} 0 0 3\r\nold`);
    await tellAll(address, [`append ${FENCE_KEY_PREFIX}default 0 0 2\r\n u`, ...sets]);
  }
  await b.admin.apply({ kind: "remove-node", names: [leaving!.address] });
  expect((await b.client.getMulti(late)).size).toBe(0);
  expect(await b.wrong()).toEqual([]);
});

/** A client that has acknowledged nothing after the present topology, until the function answered is called. */
async function straggler(b: Bench): Promise<() => Promise<void>> {
  const raw = new RedisStore(b.cluster.redis.url, namespaceOf(undefined));
  onEnd(() => raw.close());
  const { epoch } = await b.admin.topology();
  await raw.heartbeat({ clientId: "straggler", acknowledged: epoch }, null);
  return () => raw.unregister("straggler");
}

test("what reaches an old server after the copier's last look goes when the change has settled: no set lists it any more", async () => {
  const b = await bench();
  await b.fill(100);
  const before = new Map([...b.expected.keys()].map((key) => [key, b.client.locate(key).node]));
  const known = await straggler(b);
  let arrived: Promise<string[]> | undefined;
  const late = async () => {
    const moved = [...before].filter(([key, node]) => b.client.locate(key).node !== node);
    for (const [key, node] of moved) await tellAll(node, [`set ${key} 0 0 3\r\nold`]);
    await known();
    return moved.map(([key]) => key);
  };
  await b.admin.apply(
    { kind: "add-node", nodes: [{ address: (await b.cluster.addMemcached()).address }] },
    {
      onProgress: ({ step }) => {
        if (step === "settling") arrived ??= late();
      },
    },
  );

  const keys = await arrived!;
  expect(keys.length).toBeGreaterThan(0);
  for (const key of keys) expect(await tellAll(before.get(key)!, [`mg ${key}`])).toEqual(["EN"]);
  expect(await b.wrong()).toEqual([]);
});

test("a cleaning that its coordinator has not come to is done before the next change", async () => {
  const b = await bench();
  await b.fill(300);
  const before = new Map([...b.expected.keys()].map((key) => [key, b.client.locate(key).node]));
  const added = await b.cluster.addMemcached();
  const dies = b.admin.apply(
    { kind: "add-node", nodes: [{ address: added.address }] },
    {
      onProgress: ({ step }) => {
        if (step === "cleaning") throw new Error("the coordinator dies");
      },
    },
  );
  await expect(dies).rejects.toThrow("the coordinator dies");
  const moved = [...before].filter(([key, node]) => b.client.locate(key).node !== node);
  expect(moved.length).toBeGreaterThan(0);
  for (const [key, node] of moved) await tellAll(node, [`set ${key} 0 0 3\r\nold`]);
  expect((await b.admin.verify({ full: true })).leftOver).toBeGreaterThan(0);

  await b.admin.apply({ kind: "set-weight", name: b.servers[0]!.address, weight: 2 });
  expect(await b.admin.verify({ full: true })).toMatchObject({ leftOver: 0, strays: { count: 0 }, clean: true });
  expect(await b.wrong()).toEqual([]);
});

test("an old server that is away when the change has settled holds nothing up: the entries of its keys stay until a sweep", async () => {
  const b = await bench();
  await b.fill(300);
  const [stopped] = b.servers;
  const known = await straggler(b);
  const change = { kind: "add-node" as const, nodes: [{ address: (await b.cluster.addMemcached()).address }] };
  onEnd(() => stopped!.kill("SIGCONT"));
  const report = await b.admin.apply(change, {
    onProgress: ({ step }) => {
      if (step === "settling") void stopped!.kill("SIGSTOP").then(known);
    },
  });
  expect(report.moved).toBeGreaterThan(0);
  await stopped!.kill("SIGCONT");

  expect(await b.wrong()).toEqual([]);
  const after = await b.admin.verify({ full: true });
  expect(after).toMatchObject({ missing: { count: 0 }, strays: { count: 0 } });
  expect(after.leftOver).toBeGreaterThan(0);
  await b.admin.sweep();
  expect(await b.admin.verify({ full: true })).toMatchObject({ leftOver: 0, clean: true });
});
