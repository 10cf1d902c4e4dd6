import { expect, test, vi } from "vitest";
import { classicSet, metaGet, PLACEHOLDER_FLAGS } from "../../src/memcached/commands.ts";
import { LinkPool } from "../../src/memcached/pool.ts";
import { prepareServers } from "../../src/migration/prepare.ts";
import { systemClock } from "../../src/protocol/system-clock.ts";
import { startMemcached } from "../../src/testing/local-cluster.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";

test("a server that failed lately and is back is taken at once: its back-off is over", async () => {
  const server = await startMemcached();
  await server.kill();
  const namespace = namespaceOf(undefined);
  const transport = new LinkPool({ fenceKey: namespace.fenceKey });
  const node = { name: "n", address: server.address, index: 0 };
  vi.useFakeTimers({ toFake: ["performance"] }); // no back-off ends by itself
  try {
    await expect(transport.exchange(node, [])).rejects.toMatchObject({ error: { code: "NODE_DOWN" } });
    await server.restart();
    await expect(transport.exchange(node, [])).rejects.toMatchObject({ error: { code: "NODE_DOWN" } });
    const versions = await prepareServers({ namespace, transport, clock: systemClock }, [node], 1, { members: [] });
    expect(versions[0]).toMatch(/^1\./);
  } finally {
    vi.useRealTimers();
    await transport.close();
    await server.stop();
  }
});

test("placeholders and leases are no keys: they are deleted, and values among them refuse the server", async () => {
  const server = await startMemcached();
  const namespace = namespaceOf(undefined);
  const transport = new LinkPool({ fenceKey: namespace.fenceKey });
  const node = { name: "n", address: server.address, index: 0 };
  const prepare = () => prepareServers({ namespace, transport, clock: systemClock }, [node], 1, { members: [] });
  const lease = Buffer.from("lease 4 0123456789abcdef");
  const names = Array.from({ length: 100 }, (_, i) => `held:${i}`); // more than one exchange has room for
  const statuses = async () => {
    const { replies } = await transport.exchange(
      node,
      names.slice(0, 50).map((name) => metaGet(name)),
    );
    return new Set(replies.map(({ status }) => status));
  };
  try {
    for (const [i, name] of names.entries()) {
      const text = i % 2 === 0 ? lease : Buffer.alloc(0);
      await transport.exchange(node, [classicSet(name, PLACEHOLDER_FLAGS, 60, text)]);
    }
    expect(await statuses()).toEqual(new Set(["HD"]));
    await prepare();
    expect(await statuses()).toEqual(new Set(["EN"]));

    await transport.exchange(node, [classicSet("value", 0, 0, lease)]);
    const message = expect.stringContaining('"value" is one');
    await expect(prepare()).rejects.toMatchObject({ code: "NODE_NOT_EMPTY", message });
  } finally {
    await transport.close();
    await server.stop();
  }
});
