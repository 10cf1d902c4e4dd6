/** Real memcached processes and small helpers for the tests of this folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";
import type { Reply } from "../../src/memcached/exchange.ts";
import type { Link } from "../../src/memcached/link.ts";
import { ExchangeError } from "../../src/memcached/transport.ts";

export interface RealServer {
  readonly address: string;
  readonly port: number;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Starts memcached on a free loopback port; it is stopped after the file's tests. */
export async function startMemcached(...args: string[]): Promise<RealServer> {
  const port = await freePort();
  const child = spawn("memcached", ["-l", "127.0.0.1", "-p", String(port), "-u", "nobody", ...args], {
    stdio: "ignore",
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  running.push(stop);
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (child.exitCode !== null || tries > 500) throw new Error(`memcached did not start: ${args.join(" ")}`);
    await sleep(10);
  }
  return { address: `127.0.0.1:${port}`, port, process: child, stop };
}

const running: (() => Promise<void>)[] = [];
afterAll(() => Promise.all(running.map((stop) => stop())));

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.destroy());
  });
}

/** The ExchangeError of a promise that must reject with one. */
export async function failureOf(promise: Promise<unknown>): Promise<ExchangeError> {
  const outcome = await promise.then(
    () => new Error("it resolved"),
    (error: unknown) => error,
  );
  if (outcome instanceof ExchangeError) return outcome;
  throw outcome;
}

/** One command, its reply. */
export async function ask(link: Link, command: { line: string; data?: Buffer | undefined }): Promise<Reply> {
  const { replies } = await link.exchange([command]);
  return replies[0] as Reply;
}
