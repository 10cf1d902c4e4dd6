/** An old value whose loader dies (memcached has given its one token away): another reader takes over, once, and nobody waits meanwhile. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { createClient } from "../../src/index.ts";
import { LocalCluster } from "../../src/testing/index.ts";

const PROGRAM = fileURLToPath(new URL("./stale-winner.mjs", import.meta.url));
/** ttl 1 and staleTtl 1000: old from its second second on; earlyRefresh makes it old at once. */
const OPTIONS = { staleTtl: 1000, earlyRefresh: 1000 };

test("killed while it loads anew, its key is loaded by another process, and the old value answers until then", async () => {
  const cluster = await LocalCluster.start({ memcached: 1 });
  const { url } = cluster.redis;
  const [one, two] = [
    await createClient({ redis: url, servers: cluster.servers }),
    await createClient({ redis: url, servers: cluster.servers }),
  ];
  try {
    await one.getOrSet("k", 1, () => "first", { staleTtl: 1000 });
    const winner = fork(PROGRAM, [url, "k"]);
    await once(winner, "message"); // it loads
    winner.kill("SIGKILL");
    await once(winner, "exit");
    let loads = 0;
    let finish!: (value: string) => void;
    const loading = new Promise<string>((resolve) => {
      finish = resolve;
    });
    const load = () => {
      loads++;
      return loading; // stored, its value is old at once, and the next reader may load: so it is held back while they look
    };
    const look = async () => {
      const answers = new Set<unknown>();
      for (const client of [one, two]) answers.add(await client.getOrSet("k", 1, load, OPTIONS));
      expect([...answers]).toEqual(["first"]);
      return loads;
    };
    expect(await look()).toBe(0);
    await expect.poll(look, { timeout: 50_000, interval: 100 }).toBe(1);
    for (let round = 0; round < 5; round++) expect(await look()).toBe(1);
    finish("second");
    await expect.poll(() => two.get("k"), { timeout: 20_000 }).toBe("second");
  } finally {
    await Promise.all([one.quit(), two.quit()]);
    await cluster.stop();
  }
}, 120_000);
