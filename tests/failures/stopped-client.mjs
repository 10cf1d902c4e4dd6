/** A client in a process of its own, for tests that stop and continue it. Reads and writes what it is told, and tells what was acknowledged. */
import { createClient } from "../../dist/index.js";

const client = await createClient({ redis: process.argv[2] });
let turn = 0;

process.on("message", async ({ read, write }) => {
  if (read !== undefined) {
    const found = await Promise.all(read.map(async (key) => [key, (await client.get(key)) ?? null]));
    process.send({ read: found });
    return;
  }
  const mine = ++turn;
  const [written, unwritten] = [[], []];
  for (let i = 0; i < write; i++) {
    const key = `own:${mine}:${i}`;
    try {
      await client.set(key, i);
      written.push([key, i]);
    } catch (error) {
      if (error.code === "TIMEOUT") unwritten.push(key);
      else if (error.code !== "AMBIGUOUS_WRITE") throw error;
    }
  }
  process.send({ written, unwritten });
});
process.on("disconnect", () => process.exit());
