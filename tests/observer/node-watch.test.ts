/** Restarts that the probes see, from what servers say of themselves. */
import { expect, test } from "vitest";
import { RingshiftError } from "../../src/errors.ts";
import { stats } from "../../src/memcached/admin.ts";
import { NodeWatch, type WatchEvent } from "../../src/observer/node-watch.ts";
import { startMemcached } from "../../src/testing/index.ts";

const BOOT = 1_800_000_000;

/** What one round after the other is answered; undefined: the server is away. */
async function watching(answers: readonly (Readonly<Record<string, number>> | undefined)[]) {
  const events: WatchEvent[] = [];
  const left = [...answers];
  const watch = new NodeWatch({
    nodes: () => [{ index: 0, name: "n", address: "127.0.0.1:1" }],
    intervalMs: () => 1_000,
    onEvent: (event) => events.push(event),
    ask: async () => {
      const answer = left.shift();
      if (answer === undefined) throw new RingshiftError("NODE_DOWN", "it is away");
      return new Map(Object.entries(answer).map(([name, value]) => [name, String(value)]));
    },
  });
  for (const _ of answers) await watch.round();
  const said = events.filter(({ kind }) => kind === "restarted").length;
  const [node] = watch.nodes;
  expect(node?.restarts).toBe(said);
  return { restarts: said, state: node?.state };
}

/** Of a server that was started at `boot` and has run for `uptime` seconds. */
const running = (uptime: number, boot = BOOT) => ({ uptime, time: boot + uptime });

test("a server that was away for longer than it had run has restarted", async () => {
  const back = running(31, BOOT + 59);
  expect(await watching([running(30), undefined, undefined, back])).toEqual({ restarts: 1, state: "up" });
});

test("one that restarts while it is not asked has restarted, each time", async () => {
  expect(await watching([running(30), running(2, BOOT + 40), running(3, BOOT + 50)])).toMatchObject({ restarts: 2 });
});

test.each([
  ["was only away", [running(30), undefined, undefined, running(300)]],
  ["was stopped, and has a late clock", [running(30), undefined, undefined, running(31)]],
  ["rounds its times apart", [running(30), { uptime: 31, time: BOOT + 32 }, { uptime: 33, time: BOOT + 33 }]],
  ["does not say when it was started", [{ uptime: 30 }, { uptime: 31 }]],
])("a server that %s has not restarted", async (_, answers) => {
  expect(await watching(answers)).toEqual({ restarts: 0, state: "up" });
});

test("a real server says the same time of start until it is another process", async () => {
  const server = await startMemcached();
  try {
    const watch = new NodeWatch({
      nodes: () => [{ index: 0, name: "n", address: server.address }],
      intervalMs: () => 1_000,
      ask: (address) => stats(address, "", { timeoutMs: 30_000 }), // the machine may be busy
    });
    const uptime = () => watch.nodes[0]!.stats!.uptimeSeconds;
    await watch.round();
    const first = uptime();
    while (uptime() < first + 2) await watch.round();
    expect(watch.nodes[0]).toMatchObject({ state: "up", restarts: 0 });
    await server.kill();
    await server.restart();
    await watch.round();
    expect(watch.nodes[0]).toMatchObject({ state: "up", restarts: 1 });
  } finally {
    await server.stop();
  }
});
