// A process that wins the right to load an old value anew, and never does: argv are Redis' URL and the key.
import { createClient } from "../../dist/index.js";

const [redis, key] = process.argv.slice(2);
const cache = await createClient({ redis });
const load = () => {
  process.send("loading");
  return new Promise(() => setInterval(() => {}, 1_000));
};
await cache.getOrSet(key, 1, load, { staleTtl: 1000, earlyRefresh: 1000 });
