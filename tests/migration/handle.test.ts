/** An operator's handle: changes that are none, and calls after its end. */
import { expect, test } from "vitest";
import type { Change } from "../../src/index.ts";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });

test.each<[unknown, string]>([
  [undefined, "A change is an object whose kind is one of add-node, remove-node"],
  [{}, "not undefined."],
  [{ kind: "add" }, "not add."],
  [{ kind: "add-node" }, "nodes: [{ address:"],
  [{ kind: "add-node", nodes: ["127.0.0.1:1"] }, "nodes: [{ address:"],
  [{ kind: "add-node", nodes: [{ name: "a" }] }, "nodes: [{ address:"],
  [{ kind: "remove-node", names: "a" }, "names: ["],
  [{ kind: "set-weight", weight: 2 }, "name: "],
])("%j is refused by plan and apply", async (change, message) => {
  const cluster = bench.cluster(1);
  await cluster.client();
  const admin = await cluster.admin();
  const told = { code: "INVALID_OPTION", message: expect.stringContaining(message) };
  await expect(admin.plan(change as Change)).rejects.toMatchObject(told);
  await expect(admin.apply(change as Change)).rejects.toMatchObject(told);
});

test("after close() every call is CLOSED", async () => {
  const cluster = bench.cluster(1);
  await cluster.client();
  const admin = await cluster.admin();
  await Promise.all([admin.close(), admin.close()]);
  const change = { kind: "set-weight", name: bench.local.servers[0]!, weight: 2 } as const;
  const calls = [admin.plan(change), admin.apply(change), admin.topology(), admin.pause(), admin.resume()];
  const others = [admin.abort(), admin.confirm(), admin.verify(), admin.sweep(), admin.underWay(), admin.counts([])];
  for (const call of [...calls, ...others]) expect(await codeOf(call)).toBe("CLOSED");
});
