import { afterAll, beforeAll, expect, test } from "vitest";
import { createAdminApp } from "../../src/gateway/admin/app.ts";
import { EventStream } from "../../src/gateway/admin/event-stream.ts";
import { EventLog } from "../../src/gateway/event-log.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { Traffic } from "../../src/gateway/traffic.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { start } from "./gateway-support.ts";

let cluster: LocalCluster;
let gateway: Gateway;

beforeAll(async () => {
  cluster = await LocalCluster.start();
  const flags = { nodes: cluster.servers.map((address) => ({ address })), "admin.requestsPerSecond": 1000 };
  gateway = await start(cluster, { flags });
});
afterAll(async () => {
  await gateway?.close();
  await cluster?.stop();
});

test("events: the state and what happened before", async () => {
  const controller = new AbortController();
  const response = await fetch(`${gateway.adminUrl}/events`, { signal: controller.signal });
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  let text = "";
  for await (const chunk of response.body!) {
    text += Buffer.from(chunk).toString();
    if (text.includes("event: state") && text.includes("event: log")) break;
  }
  expect(JSON.parse(/event: state\ndata: (.*)/.exec(text)![1]!)).toMatchObject({ phase: "S" });
  expect(text).toContain("Serving on");
  controller.abort();
});

test("events: HEAD takes no place, and of too many listeners the last are told so", async () => {
  const log = new EventLog();
  const events = new EventStream(() => new Promise(() => {}), log);
  const parts = { cache: () => undefined, log, traffic: new Traffic() };
  const { app } = createAdminApp(parts as never, { host: "127.0.0.1", token: undefined, requestsPerSecond: 1000 });
  for (let i = 0; i < 100; i++) {
    const head = await app.request("http://localhost/events", { method: "HEAD" });
    expect([head.status, head.headers.get("content-type"), head.body]).toEqual([200, "text/event-stream", null]);
    events.head();
  }
  expect(events.listeners).toBe(0);
  const streams = Array.from({ length: 64 }, () => events.open());
  expect(() => events.open()).toThrow("At most 64 listen");
  expect(() => events.head()).toThrow("At most 64 listen");
  await streams[0]!.body!.cancel();
  events.open();
  events.close();
  expect(() => events.open()).toThrow("stopping");
});

test("events: the answer to one listener too many", async () => {
  const all = await Promise.all(Array.from({ length: 65 }, () => fetch(`${gateway.adminUrl}/events`)));
  const refused = all.find(({ status }) => status !== 200)!;
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "10"]);
  expect(await refused.json()).toMatchObject({
    code: "TOO_MANY_LISTENERS",
    title: "As many listen to /events as may.",
  });
  for (const one of all) if (one !== refused) await one.body!.cancel();
});
