/** No command runs in another database of Redis than the one that the URL names, whenever Redis refuses to select it. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Redis } from "ioredis";
import { beforeEach, describe, expect, test } from "vitest";
import { createClient, openAdmin } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { OPERATOR_TIMEOUT_MS } from "../../src/topology/redis-connection.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";
import { onEnd, until } from "../failures/support.ts";

const NAMESPACE = namespaceOf(undefined);
let cluster: LocalCluster;
/** In database 0. */
let redis: Redis;
beforeEach(async () => {
  cluster = await LocalCluster.start({ memcached: 1 });
  onEnd(() => cluster.stop());
  redis = new Redis(cluster.redis.url);
  onEnd(async () => redis.disconnect());
});

function open(url: string): RedisStore {
  const store = new RedisStore(url, NAMESPACE, OPERATOR_TIMEOUT_MS);
  onEnd(() => store.close());
  return store;
}

/** The user `app`, whose password is `secret`; all of its connections end. */
async function appMay(...rules: string[]): Promise<void> {
  await redis.call("ACL", "SETUSER", "app", "reset", "on", ">secret", "~*", "&*", "+@all", ...rules);
  await redis.call("CLIENT", "KILL", "USER", "app");
}

const asApp = (database: string) => `redis://app:secret@127.0.0.1:${cluster.redis.port}${database}`;

describe("refused at first", () => {
  test("an index that Redis does not have rejects every call, and is said", async () => {
    const store = open(`${cluster.redis.url}/16`);
    const told = {
      code: "INVALID_OPTION",
      message: expect.stringMatching(/^Database 16 of Redis at redis:.*\/16 cannot be selected \(ERR .*--redis/),
    };
    const reads = [store.read(), store.call((connection) => connection.set("a", 1)), store.counts(0, [1, 2])];
    for (const read of reads) await expect(read).rejects.toMatchObject(told);
    await expect(store.leaseHolder()).rejects.toMatchObject(told);
    expect(await redis.dbsize()).toBe(0);
  });

  test("a client starts no cluster in database 0, and meets none that is there", async () => {
    const production = await createClient({ redis: cluster.redis.url, servers: cluster.servers });
    onEnd(() => production.quit());
    const database = `${cluster.redis.url}/99`;
    await expect(createClient({ redis: database, servers: cluster.servers })).rejects.toThrow("Database 99");
    await expect(openAdmin({ redis: database })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("a user without SELECT has database 0 and no other", async () => {
    await appMay("-select");
    await expect(open(asApp("/1")).read()).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringMatching(/redis:\/\/\*\*\*@127.* cannot be selected \(NOPERM /),
    });
    for (const database of ["", "/", "/0", "?db=0"]) {
      expect((await open(asApp(database)).read()).document).toBeNull();
    }
  });

  test("a text that is no URL with a database is refused before anything is sent", async () => {
    for (const database of ["/abc", "/1.5", "/-1", "?db=abc"]) {
      const options = { redis: cluster.redis.url + database, servers: cluster.servers };
      await expect(createClient(options)).rejects.toMatchObject({ code: "INVALID_OPTION" });
    }
    await expect(openAdmin({ redis: "redis://127.0.0.1:abc" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    expect(await redis.dbsize()).toBe(0);
  });
});

test("refused at a reconnection: what waits fails, nothing runs in database 0, and it goes on when it may again", async () => {
  await appMay();
  const store = open(asApp("/1"));
  await store.call((connection) => connection.set("before", 1));
  await appMay("-select");
  const attempts = (name: string) => [
    store.call((connection) => connection.set(name, 1)),
    store.call((connection) => connection.pipeline().set(`${name}:a`, 1).set(`${name}:b`, 1).exec()).then(allDone),
    store.writeControl(undefined),
    store.lease("holder", OPERATOR_TIMEOUT_MS),
  ];
  const refusal = /refuses a command \(NOPERM .*select.*database/;
  // the first may meet the connection while it breaks, and say that
  let round = 0;
  await until(async () => {
    const [outcome] = await Promise.allSettled(attempts(`round:${round++}`));
    if (outcome!.status === "fulfilled") return false;
    expect(outcome!.reason).toMatchObject({ code: "REDIS_UNREACHABLE" });
    return refusal.test(outcome!.reason.message);
  });
  for (const outcome of await Promise.allSettled(attempts("later"))) {
    expect(outcome.status).toBe("rejected");
  }
  expect(await redis.keys("*")).toEqual([]);
  await appMay();
  await until(() =>
    store.leaseHolder().then(
      () => true,
      () => false,
    ),
  );
  expect(await store.call((connection) => connection.get("before"))).toBe("1");
  expect(await redis.keys("*")).toEqual([]);
});

test("an answer to SELECT that comes when ioredis does not wait for it any more is not taken for a yes", async () => {
  const asked: string[] = [];
  const server = createServer((socket) => answer(socket, asked));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onEnd(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  const store = new RedisStore(`redis://127.0.0.1:${port}/5`, NAMESPACE); // a second for each command
  onEnd(() => store.close());
  await expect(store.read()).rejects.toMatchObject({ code: "REDIS_UNREACHABLE" });
  await until(() => asked.includes("eval") || asked.filter((command) => command === "hello").length > 1);
  expect(asked).toContain("select");
  expect(asked).not.toContain("eval");
});

/** A pipeline resolves with the errors of its commands. */
function allDone(replies: readonly (readonly [Error | null, unknown])[] | null): void {
  for (const [error] of replies ?? []) if (error) throw error;
}

/** As a Redis that stands still after HELLO, until ioredis has given the other commands up and asks whether it is ready. */
function answer(socket: Socket, asked: string[]): void {
  const info = "redis_version:7.0.0\r\nloading:0\r\n";
  let late = "";
  socket.on("error", () => {});
  socket.on("data", (bytes: Buffer) => {
    for (const [, word] of bytes.toString("latin1").matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
      const command = word!.toLowerCase();
      asked.push(command);
      if (command === "hello") socket.write("%0\r\n");
      else if (command === "select") late += "-ERR DB index is out of range\r\n";
      else if (command === "client") late += "+OK\r\n";
      else if (command === "info") socket.write(`${late}$${info.length}\r\n${info}\r\n`);
      else socket.write("*2\r\n$-1\r\n$3\r\nrun\r\n");
    }
  });
}
