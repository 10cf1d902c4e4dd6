/** Row of the failure table: CAS numbers are a server's own. A token is worth nothing elsewhere, or after a restart. */
import { expect, test } from "vitest";
import { bench } from "./support.ts";

test("a CAS token does not outlive a move of its key, there and back, nor a restart of its server", async () => {
  const b = await bench({ memcached: 2 });
  await b.fill(300);
  const { address } = await b.cluster.addMemcached();
  const before = new Map(
    await Promise.all([...b.expected.keys()].map(async (key) => [key, (await b.client.gets(key))!.cas] as const)),
  );
  await b.admin.apply({ kind: "add-node", nodes: [{ address }] });
  const moved = b.keysOn(address);
  expect(moved.length).toBeGreaterThan(30);
  const [there, back] = [moved.slice(0, 15), moved.slice(15)];
  for (const key of there) expect(await b.client.cas(key, "x", before.get(key)!)).toBe(false);
  await b.admin.apply({ kind: "remove-node", names: [address] });
  for (const key of back) expect(await b.client.cas(key, "x", before.get(key)!)).toBe(false);
  const stayed = [...b.expected.keys()].find((key) => !moved.includes(key))!;
  expect(await b.client.cas(stayed, b.expected.get(stayed), before.get(stayed)!)).toBe(true); // a key that never moved

  const [key] = b.keysOn(b.servers[0]!.address);
  const { cas } = (await b.client.gets(key!))!;
  await b.servers[0]!.restart();
  for (let i = 0; i < 400; i++) await b.client.set(`after:${i}`, i); // CAS numbers begin anew and pass the token's
  expect(await b.client.cas(key!, "x", cas)).toBe(false);
});
