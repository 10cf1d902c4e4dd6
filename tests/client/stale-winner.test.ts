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
    const load = () => {
      loads++;
      return "second";
    };
    const answers = new Set<unknown>();
    const look = async () => {
      for (const client of [one, two]) answers.add(await client.getOrSet("k", 1, load, OPTIONS));
      return loads;
    };
    await look();
    expect([...answers]).toEqual(["first"]);
    await expect.poll(look, { timeout: 50_000, interval: 100 }).toBe(1);
    await expect.poll(() => two.get("k"), { timeout: 20_000 }).toBe("second");
    expect([...answers].every((answer) => answer === "first" || answer === "second")).toBe(true);
  } finally {
    await Promise.all([one.quit(), two.quit()]);
    await cluster.stop();
  }
});
