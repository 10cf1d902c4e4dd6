/**
 * A client in a process of its own, that can be stopped and continued (SIGSTOP, SIGCONT). Messages { where } opens it; then each list of
 * calls [[method, ...arguments], ...] is made in one go and answered with what each resolved to, or with { code } for a rejection.
 */
import { createClient } from "../../dist/index.js";

let client;

process.on("message", async (message) => {
  if (message.where !== undefined) {
    client = await createClient(message.where);
    process.send("open");
    return;
  }
  const calls = message.map(([method, ...args]) => client[method](...args));
  const outcomes = await Promise.allSettled(calls);
  process.send(outcomes.map(({ value, reason }) => (reason === undefined ? value : { code: reason.code })));
});
process.on("disconnect", () => process.exit());
