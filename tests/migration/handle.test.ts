/** An operator's handle: changes that are none, and calls after its end. */
import { expect, test } from "vitest";
import { type Admin, type AdminOptions, type Change, type ChangeOptions, openAdmin } from "../../src/index.ts";
import { codeOf, useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 1 });

test.each<[unknown, string]>([
  [undefined, "A change is an object whose kind is one of add-node, remove-node"],
  [{}, "not undefined."],
  [{ kind: "add" }, 'not "add".'],
  [{ kind: "add-node" }, "nodes: [{ address:"],
  [{ kind: "add-node", nodes: ["127.0.0.1:1"] }, "nodes: [{ address:"],
  [{ kind: "add-node", nodes: [{ name: "a" }] }, "nodes: [{ address:"],
  [{ kind: "remove-node", names: "a" }, "names: ["],
  [{ kind: "set-weight", weight: 2 }, "name: "],
  [{ kind: "set-weight", name: "a" }, "set-weight has a number in weight, not undefined."],
  [{ kind: "set-weight", name: "a", weight: "2" }, "set-weight has a number in weight, not 2."],
  [{ kind: "set-vnodes", name: "a" }, "set-vnodes has a number in vnodes, not undefined."],
  [
    { kind: "add-node", nodes: [{ address: "127.0.0.1:1", wieght: 2 }] },
    "A server knows no option wieght; did you mean weight?",
  ],
  [
    { kind: "add-node", node: [], nodes: [{ address: "127.0.0.1:1" }] },
    "add-node knows no option node; did you mean nodes?",
  ],
  [{ kind: "remove-node", names: ["a"], dead: "false" }, 'dead is true or false, not "false".'],
  [{ kind: "remove-node", names: ["a"], daed: true }, "remove-node knows no option daed; did you mean dead?"],
])("%j is refused by plan and apply", async (change, message) => {
  const cluster = bench.cluster(1);
  await cluster.client();
  const admin = await cluster.admin();
  const told = { code: "INVALID_OPTION", message: expect.stringContaining(message) };
  await expect(admin.plan(change as Change)).rejects.toMatchObject(told);
  await expect(admin.apply(change as Change)).rejects.toMatchObject(told);
});

test.each<[unknown, string]>([
  [null, "apply takes its options as an object"],
  [{ rates: 10 }, "apply knows no option rates; did you mean rate?"],
  [{ rate: 0 }, "rate is a number of keys a second, 0.001 at least, not 0."],
  [{ rate: 1e-7 }, "rate is a number of keys a second, 0.001 at least, not 1e-7."], // no timer is as long
  [{ rate: "10" }, "rate is a number"],
  [{ rate: Number.NaN }, "rate is a number"],
  [{ flush: "yes" }, 'flush is true or false, not "yes".'],
  [{ onProgress: "bar" }, "onProgress is a function."],
  [{ signal: true }, "signal is an AbortSignal."],
])("options %j are refused, and nothing has changed", async (options, message) => {
  const cluster = bench.cluster(1);
  await cluster.client();
  const admin = await cluster.admin();
  const before = await cluster.documentText();
  const change = { kind: "set-weight", name: bench.local.servers[0]!, weight: 2 } as const;
  const told = { code: "INVALID_OPTION", message: expect.stringContaining(message) };
  await expect(admin.apply(change, options as ChangeOptions)).rejects.toMatchObject(told);
  expect(await cluster.documentText()).toBe(before);
});

test.each<[string, (admin: Admin, options: object) => Promise<unknown>]>([
  ["plan", (admin, options) => admin.plan({ kind: "remove-node", names: [] }, options)],
  ["resume", (admin, options) => admin.resume(options)],
  ["abort", (admin, options) => admin.abort(options)],
  ["abandon", (admin, options) => admin.abandon("a", options)],
  ["verify", (admin, options) => admin.verify(options)],
])("%s refuses an option it does not know", async (call, run) => {
  const cluster = bench.cluster(1);
  await cluster.client();
  const message = expect.stringContaining(`${call} knows no option progress; `);
  await expect(run(await cluster.admin(), { progress: true })).rejects.toMatchObject({
    code: "INVALID_OPTION",
    message,
  });
});

test.each<[unknown, string]>([
  [undefined, "openAdmin needs redis, a URL"],
  [{ namespace: "a" }, "openAdmin needs redis, a URL"],
  [{ redis: "redis://127.0.0.1:1", ioTimeoutMs: 0 }, "ioTimeoutMs is a number of milliseconds above 0, not 0."],
  [
    { redis: "redis://127.0.0.1:1", ioTimeoutMs: 2 ** 31 },
    "ioTimeoutMs is at most 86400000 milliseconds, not 2147483648.",
  ],
])("openAdmin(%j) is refused", async (options, message) => {
  const told = { code: "INVALID_OPTION", message: expect.stringContaining(message) };
  await expect(openAdmin(options as AdminOptions)).rejects.toMatchObject(told);
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
