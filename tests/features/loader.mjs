// A process that calls getOrSet: argv are Redis' URL, the key, calls at once, ms a load takes, and "hang" to never end one.
import { createClient } from "../../dist/index.js";

const [redis, key, calls, loadMs, mode] = process.argv.slice(2);
const cache = await createClient({ redis, timeoutMs: 20_000 });
process.send("ready");
await new Promise((resolve) => process.once("message", resolve));
let loads = 0;
const load = async () => {
  loads++;
  process.send("loading");
  if (mode === "hang") await new Promise(() => setInterval(() => {}, 1_000));
  await new Promise((resolve) => setTimeout(resolve, Number(loadMs)));
  return `made by ${process.pid}`;
};
const values = await Promise.all(Array.from({ length: Number(calls) }, () => cache.getOrSet(key, 60, load)));
process.send({ loads, values: [...new Set(values)] });
await cache.quit();
process.disconnect();
