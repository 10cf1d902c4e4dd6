/** How long a gateway waits for requests in flight when it stops. On a clock of its own: what is held is the order, whatever the machine's speed. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { start, TOKEN } from "./gateway-support.ts";

const DRAIN_MS = 60_000;
const NAMES = "Host: localhost\r\nContent-Length: 9";

let cluster: LocalCluster;
let gateway: Gateway;
beforeAll(async () => {
  cluster = await LocalCluster.start();
  const nodes = cluster.servers.map((address) => ({ address }));
  gateway = await start(cluster, { flags: { nodes, "timeouts.drainMs": DRAIN_MS } });
});
afterEach(() => vi.useRealTimers());
afterAll(() => cluster?.stop());

/** A request of which the body is not all there, and its head has arrived. */
async function halfSent(url: string, head: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write(`${head}\r\nExpect: 100-continue\r\n\r\n`);
  await once(socket, "data"); // 100 Continue
  socket.write("{");
  return socket;
}

test("both ports have one grace, not one after the other", async () => {
  const data = await halfSent(gateway.dataUrl, `PUT /half HTTP/1.1\r\n${NAMES}`);
  const admin = await halfSent(
    gateway.adminUrl,
    `POST /api/plan HTTP/1.1\r\n${NAMES}\r\nAuthorization: Bearer ${TOKEN}`,
  );
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"], shouldClearNativeTimers: true });
  const begun = performance.now();
  const closed = vi.fn();
  const closing = gateway.close().then(closed);
  await vi.advanceTimersByTimeAsync(DRAIN_MS - 1);
  expect([data.closed, admin.closed]).toEqual([false, false]);
  await vi.advanceTimersByTimeAsync(1);
  // moves the clock by 50 ms every 50 ms
  await vi.waitFor(() => expect([data.closed, admin.closed]).toEqual([true, true]), { timeout: 20_000 });
  await vi.waitFor(() => expect(closed).toHaveBeenCalled(), { timeout: 20_000 });
  expect(performance.now() - begun).toBeLessThan(2 * DRAIN_MS);
  await closing;
});
