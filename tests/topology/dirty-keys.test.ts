/** The lists of keys that a server may hold old values of: nothing that Redis does by itself loses them, and they go with their server. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient, openAdmin } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { DirtyKeys } from "../../src/topology/dirty-keys.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";
import { RedisStore } from "../../src/topology/redis-store.ts";

let local: LocalCluster;
let store: RedisStore;
const namespace = namespaceOf("shop");

beforeAll(async () => {
  local = await LocalCluster.start({ memcached: 3 });
  store = new RedisStore(local.redis.url, namespace);
});

afterAll(async () => {
  await store.close();
  await local.stop();
});

test("they have no time to live, so that volatile-* leaves them", async () => {
  const dirty = new DirtyKeys(store, namespace);
  await dirty.add("n1", ["a", "b"]);
  expect((await dirty.some("n1")).map(({ key }) => key).sort()).toEqual(["a", "b"]);
  expect(await store.call((redis) => redis.pttl("ringshift:shop:dirty:n1"))).toBe(-1);
  await dirty.remove("n1", await dirty.some("n1"));
  expect(await dirty.nodesWithSome(["n1"])).toEqual([]);
});

test("a server that leaves takes its list with it; those of the others and of other clusters stay", async () => {
  const where = { redis: local.redis.url, namespace: namespace.name };
  const client = await createClient({ ...where, servers: local.servers });
  const admin = await openAdmin(where);
  const [first, second] = local.servers as [string, string];
  const dirty = new DirtyKeys(store, namespace);
  const neighbours = new DirtyKeys(store, namespaceOf("shop2"));
  for (const name of [first, second]) await dirty.add(name, ["a"]);
  await neighbours.add(first, ["a"]);
  try {
    await admin.apply({ kind: "set-weight", name: first, weight: 2 });
    expect(await dirty.nodesWithSome([first, second])).toEqual([first, second]);
    await admin.apply({ kind: "remove-node", names: [first] });
    expect(await dirty.nodesWithSome([first, second])).toEqual([second]);
    expect(await neighbours.nodesWithSome([first])).toEqual([first]);
  } finally {
    await client.quit();
    await admin.close();
  }
});

test("a list is dropped only while the document that does not name its server is the present one", async () => {
  const dirty = new DirtyKeys(store, namespace);
  const { document } = await store.read();
  await dirty.add("joined", ["a"]); // by a later document
  await dirty.keepOnly({ ...document!, id: "earlier" });
  expect(await dirty.nodesWithSome(["joined"])).toEqual(["joined"]);
  await dirty.keepOnly(document!);
  expect(await dirty.nodesWithSome(["joined"])).toEqual([]);
});
