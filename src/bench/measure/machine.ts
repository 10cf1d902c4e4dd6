/** Where the figures were measured, and of what versions. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import type { Machine } from "../report/results.ts";
import type { Pinning } from "./pinning.ts";

const PACKAGES = ["memjs", "hashring", "memcached", "memcache", "memcache-client", "ioredis"];

export function describeMachine(pinning: Pinning): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${process.platform} ${release()}`,
    placement: pinning.text,
    loadBefore: Math.round(loadavg()[0]! * 10) / 10,
    date: new Date().toISOString(),
  };
}

/** @param root the folder of package.json */
export function versions(root: URL): Record<string, string> {
  const read = (path: string) => (JSON.parse(readFileSync(new URL(path, root), "utf8")) as { version: string }).version;
  return {
    ringshift: read("package.json"),
    node: process.version,
    memcachedServer: printed("memcached", ["-V"]),
    redisServer: printed("redis-server", ["--version"]),
    ...Object.fromEntries(PACKAGES.map((name) => [name, read(`node_modules/${name}/package.json`)])),
  };
}

/** The first number with dots that a program prints about itself. */
function printed(program: string, args: readonly string[]): string {
  try {
    return /\d+(\.\d+)+/.exec(execFileSync(program, args, { encoding: "utf8" }))?.[0] ?? "unknown";
  } catch {
    return "unknown";
  }
}
