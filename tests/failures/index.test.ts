/** Rows of the failure table about the index: keys that no set lists, keys on the wrong server, sweeps that die. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import type { Admin } from "../../src/migration/admin.ts";
import { type Bench, bench, Died, dieAt } from "./support.ts";

/** Stores an item as another client would that knows nothing of fences and index. */
async function intrude(address: string, key: string, value: string): Promise<void> {
  const [host, port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.write(`set ${key} 0 0 ${value.length}\r\n${value}\r\n`);
  const answer = await new Promise<string>((resolve, reject) => {
    socket.once("data", (data) => resolve(data.toString()));
    socket.once("error", reject);
  });
  socket.destroy();
  expect(answer).toBe("STORED\r\n");
}

/** Items put straight on the servers: `found:*` where they belong, `stray:*` where they do not. */
async function intrudeBoth(b: Bench): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await intrude(b.client.locate(`found:${i}`).address, `found:${i}`, String(i));
    const other = b.servers.find(({ address }) => address !== b.client.locate(`stray:${i}`).address)!;
    await intrude(other.address, `stray:${i}`, "old");
  }
}

test("un-indexed keys found by verify --full, and put right by --fix", async () => {
  const b = await bench();
  await b.fill(300);
  await intrudeBoth(b);
  expect(await b.admin.verify()).toMatchObject({ clean: true, entries: 300, live: 300 }); // the index alone cannot know
  const found = await b.admin.verify({ full: true });
  expect(found).toMatchObject({ clean: false, keys: 320, missing: { count: 20 }, strays: { count: 20 } });
  expect(found.missing.examples[0]!.key).toMatch(/^found:/);
  expect(found.strays.examples[0]!.key).toMatch(/^stray:/);

  const fixed = await b.admin.verify({ full: true, fix: true });
  expect(fixed).toMatchObject({ clean: true, missing: { count: 20, fixed: 20 }, strays: { count: 20, fixed: 20 } });
  const server = await b.cluster.addMemcached();
  await b.admin.apply({ kind: "add-node", nodes: [{ address: server.address }] });
  for (let i = 0; i < 20; i++) {
    expect(await b.client.get(`found:${i}`)).toBe(String(i));
    expect(await b.client.get(`stray:${i}`)).toBeUndefined();
  }
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 320 });
});

test("un-indexed keys found by reindex, strays deleted and told", async () => {
  const b = await bench();
  await b.fill(300);
  await intrudeBoth(b);
  let strays = 0;
  for (const { address } of b.servers) strays += (await b.admin.reindex(address)).strays.count;
  expect(strays).toBe(20);
  expect(await b.admin.verify({ full: true })).toMatchObject({
    clean: true,
    missing: { count: 0 },
    strays: { count: 0 },
  });
  await expect(b.admin.reindex("nobody:1")).rejects.toMatchObject({ code: "NODE_UNKNOWN" });
});

test("a reindex that dies leaves a server that migrations read, and is carried on", async () => {
  const b = await bench();
  await b.fill(300);
  const { address } = b.servers[0]!;
  await expect(b.admin.reindex(address, dieAt("dumping"))).rejects.toThrow(Died);
  expect((await b.admin.topology()).untrusted).toEqual([address]);
  await b.admin.reindex(address);
  expect((await b.admin.topology()).untrusted).toEqual([]);
});

test("another namespace on the same servers is left alone by verify --fix and reindex", async () => {
  const b = await bench();
  await b.fill(100);
  const shop = await b.open({ namespace: "shop", servers: b.cluster.servers.slice(0, 1) });
  await shop.setMulti(Array.from({ length: 100 }, (_, i): [string, number] => [`item:${i}`, i]));
  expect(await b.admin.verify({ full: true, fix: true })).toMatchObject({
    clean: true,
    keys: 100,
    strays: { count: 0 },
  });
  expect(await b.admin.reindex(b.servers[0]!.address)).toMatchObject({ strays: { count: 0 } });
  expect((await shop.getMulti(Array.from({ length: 100 }, (_, i) => `item:${i}`))).size).toBe(100);
});

async function entries(admin: Admin): Promise<number> {
  const report = await admin.verify();
  expect(report.clean).toBe(true);
  return report.entries;
}

test("sweep drops dead entries, keeps live ones under concurrent writes, and deletes the strays of what it drops", async () => {
  const b = await bench();
  await b.fill(1_000);
  await b.fill(300, "dead");
  for (let i = 0; i < 300; i++) b.expected.delete(`dead:${i}`);
  await b.client.deleteMulti(Array.from({ length: 300 }, (_, i) => `dead:${i}`));
  const other = b.servers.find(({ address }) => address !== b.client.locate("dead:0").address)!;
  await intrude(other.address, "dead:0", "old");
  expect((await b.admin.verify()).strays.count).toBe(1);

  const writer = await b.open({ retryAmbiguous: true }); // a write under way when the fences rise may have to be repeated
  let stop = false;
  const writing = (async () => {
    for (let i = 0; !stop; i++) {
      const entries = Array.from({ length: 20 }, (_, j): [string, string] => [
        `busy:${(i * 20 + j) % 400}`,
        `turn ${i}`,
      ]);
      await writer.setMulti(entries);
      for (const [key, value] of entries) b.expected.set(key, value);
      await writer.deleteMulti([`busy:${i % 400}`]);
      b.expected.delete(`busy:${i % 400}`);
    }
  })();
  const report = await b.admin.sweep();
  stop = true;
  await writing;
  expect(report.dropped).toBeGreaterThanOrEqual(300);
  expect(report.strays).toBe(1);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: b.expected.size, leftOver: 0 });
  expect((await b.admin.topology()).sweeping).toBeNull();

  const server = await b.cluster.addMemcached();
  await b.admin.apply({ kind: "add-node", nodes: [{ address: server.address }] });
  expect(await b.wrong()).toEqual([]);
});

test("a sweep that died: a migration reads both generations, the next sweep ends it", async () => {
  const b = await bench();
  await b.fill(600);
  await b.client.deleteMulti(Array.from({ length: 100 }, (_, i) => `key:${i}`));
  for (let i = 0; i < 100; i++) b.expected.delete(`key:${i}`);
  await expect(b.admin.sweep(dieAt("cleaning"))).rejects.toThrow(Died);
  const { generation, sweeping } = await b.admin.topology();
  expect(generation).toBe(sweeping! + 1);
  await b.fill(50, "later");
  expect(await entries(b.admin)).toBe(650);

  const server = await b.cluster.addMemcached();
  const report = await b.admin.apply({ kind: "add-node", nodes: [{ address: server.address }] });
  expect(report.moved).toBeGreaterThan(0);
  await b.admin.apply({ kind: "remove-node", names: [b.servers[0]!.address] });
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 550 });

  expect(await b.admin.sweep()).toMatchObject({ generation });
  expect(await entries(b.admin)).toBe(550);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 550, entries: 550 });
});
