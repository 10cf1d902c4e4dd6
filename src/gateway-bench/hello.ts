/**
 * What the gateway is measured against: a bare Hono application on the same adapter. Says its port, when it is asked how much CPU it
 * has used, and ends with its parent.
 */
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono();
app.get("/:key", (context) => context.text("hello"));

serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => process.send?.({ port }));
process.on("message", () => process.send?.({ cpuSeconds: cpuSeconds() }));
process.on("disconnect", () => process.exit(0));

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
