import { expect, test, vi } from "vitest";
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
