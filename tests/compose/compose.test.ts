/** What docker-compose.yml and the files in deploy/ say, held against the program; docker itself is not needed. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { loadSettings } from "../../src/config/load.ts";
import type { Gateway } from "../../src/gateway/gateway.ts";
import { LocalCluster } from "../../src/testing/index.ts";
import { start } from "../gateway/gateway-support.ts";

interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const text = (name: string) => readFileSync(path(name), "utf8");
const { services } = parse(text("docker-compose.yml"), { merge: true }) as {
  services: Readonly<Record<string, Service>>;
};

let cluster: LocalCluster;
let gateway: Gateway;
beforeAll(async () => {
  cluster = await LocalCluster.start();
  gateway = await start(cluster, { flags: { nodes: cluster.servers.map((address) => ({ address })) } });
});
afterAll(async () => {
  await gateway?.close();
  await cluster?.stop();
});

test("every published port is on 127.0.0.1", () => {
  const ports = Object.values(services).flatMap((service) => service.ports ?? []);
  expect(ports.length).toBe(4);
  for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(?:\d+|\$\{[A-Z_]+:-\d+\}):\d+$/);
  expect(services.app!.ports!.map((port) => port.replace(/\$\{\w+:-(\d+)\}/, "$1"))).toEqual([
    "127.0.0.1:8000:8000",
    "127.0.0.1:9999:9999",
  ]);
});

test("app serves by deploy/ringshift.yaml, which is good and names the servers that there are", async () => {
  expect(services.app!.command).toEqual(["ringshift", "serve", "--config", "deploy/ringshift.yaml"]);
  const env = services.app!.environment!;
  const { settings, nodes } = await loadSettings({ file: path("deploy/ringshift.yaml"), env });
  expect(nodes!.map(({ address }) => address)).toEqual(env.MEMCACHED_SERVERS!.split(","));
  expect([settings.data.port, settings.admin.port, settings.redis]).toEqual([8000, 9999, env.RINGSHIFT_REDIS]);
  expect(services.app!.volumes![0]).toMatch(/^\.\/deploy:\/app\/deploy:ro/); // as a whole: a file of its own would stay the old one
  const named = [...nodes!, ...settings.spares].map(({ address }) => address.replace(":11211", ""));
  expect(Object.keys(services).filter((name) => name.startsWith("memcached-"))).toEqual(named);
  for (const { address } of settings.spares) {
    expect(services[address.replace(":11211", "")]!.profiles).toEqual(["scale"]);
  }
});

test("the health check is a program, and asks a path that there is", async () => {
  const [, program, flag, script] = services.app!.healthcheck!.test;
  expect([program, flag]).toEqual(["node", "-e"]);
  const asked = /http:\/\/127\.0\.0\.1:9999(\/\w+)/.exec(script!)![1]!;
  expect((await fetch(`${gateway.adminUrl}${asked}`)).status).toBe(200);
  expect(() => new Function(script!)).not.toThrow();
});

test("Prometheus scrapes the admin port, and Grafana asks for metrics that there are", async () => {
  const { scrape_configs: scrapes } = parse(text("deploy/prometheus.yml")) as {
    scrape_configs: { metrics_path: string; static_configs: { targets: string[] }[] }[];
  };
  expect(scrapes[0]).toMatchObject({ metrics_path: "/metrics", static_configs: [{ targets: ["app:9999"] }] });
  const { panels } = JSON.parse(text("deploy/grafana/dashboards/ringshift.json")) as {
    panels: { targets: { expr: string }[] }[];
  };
  await fetch(`${gateway.dataUrl}/key`);
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const known = new Set([...metrics.matchAll(/^(\w+)(?:\{|\s)/gm)].map(([, name]) => name));
  const asked = new Set(
    panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => [...expr.matchAll(/\bringshift_\w+/g)].flat())),
  );
  expect(asked.size).toBeGreaterThan(8);
  expect([...asked].filter((name) => !known.has(name))).toEqual([]);
});
