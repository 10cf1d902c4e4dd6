/** A client in a process of its own that is killed while its writes wait in a server's socket. Told keys, it writes `doomed` under them. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../../dist/index.js";

const client = await createClient({ redis: process.argv[2], timeoutMs: 60_000, ioTimeoutMs: 30_000 });
let first = true;

process.on("message", async (keys) => {
  if (first) {
    first = false;
    await client.getMulti(keys);
    for (const key of keys) await client.touch(key, 0); // nothing is changed by it
    await client.setMulti(keys.map((key) => [`warm:${key}`, 1]));
    process.send("ready");
    return;
  }
  client.setMulti(keys.map((key) => [key, "doomed"])).catch(() => {}); // never answered
  while (!Object.values(client.nodeStates()).some((state) => state.inFlight > keys.length)) await sleep(5);
  await sleep(50); // from the socket's buffer here to the server's
  process.send("sent");
});
process.on("disconnect", () => process.exit());
