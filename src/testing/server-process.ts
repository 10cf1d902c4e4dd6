/**
 * A server as a child process on a free loopback port. It never outlives the program:
 *
 *     parent ──pipe (fd 3)──▶ sh: watchdog    reads; at the end of the pipe: kill -9 server, rm -rf its folder
 *        └───────spawn──────▶ sh, exec'ed into the server: the child's pid is the server's
 *
 * One shell forks the watchdog and becomes the server, so there is no moment with a server and no watchdog. The pipe ends however the
 * parent ends: exit, an uncaught error, a signal, kill -9. That is why there are no exit and signal handlers here.
 * When the server has ended, a line in the pipe releases the watchdog, since the pid may be another process' by then.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export const HOST = "127.0.0.1";
/** Below the ports that systems give to outgoing connections, one of which could take a stopped server's port before its restart. */
const PORT_RANGE = [20_000, 30_000] as const;
const PORT_ATTEMPTS = 20;
const START_TIMEOUT_MS = 15_000;
const STOP_TIMEOUT_MS = 5_000;
const PROBE_TIMEOUT_MS = 1_000;
const PROBE_INTERVAL_MS = 10;
/** How much of a server's output is kept for error messages, in characters. */
const OUTPUT_LIMIT = 4_096;
/** The signals after which a server is gone; others (SIGSTOP, SIGCONT, SIGUSR1) leave it there. */
const DEADLY: ReadonlySet<NodeJS.Signals> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT", "SIGABRT", "SIGSEGV"]);

/** The answers of a server that wants a password first (Redis, memcached -Y), or of one that speaks the binary protocol. */
const KEEPS_ITS_PID = /^(-NOAUTH|CLIENT_ERROR unauthenticated|\x81)/;

const LAUNCHER = `
server=$$; folder=$1; shift
{ read -r released || { kill -9 "$server"; [ -z "$folder" ] || rm -rf "$folder"; }; } <&3 >/dev/null 2>&1 &
exec "$@" 3<&-
`;

/** A server process. It keeps its port over a restart, and does not keep the program running. */
export interface LocalServer {
  readonly port: number;
  /** The server's own process, another one after each restart. */
  readonly pid: number;
  /** Ends it and deletes what it stored. Resolves when it is gone; stopping twice is fine. */
  stop(): Promise<void>;
  /** Sends a signal (SIGKILL by default) and, where that ends the server, resolves when it is gone. `restart()` brings it back. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Ends the server if it runs and starts it on the same port. Only a Redis with `appendOnly` has its data again. */
  restart(): Promise<void>;
}

/** What is started, and how it is known to be there. */
export interface Launch {
  readonly command: readonly string[];
  readonly portFlag: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Deleted with the server; empty for none. */
  readonly folder: string;
  /** Ends with the command after which the server closes. The pid in its answer tells it from a stranger that was first on the port. */
  readonly question: string;
  readonly pidInAnswer: RegExp;
}

/** `address` is what a memcached is known by, `url` what a Redis is. */
export class ServerProcess implements LocalServer {
  readonly #launch: Launch;
  #port = 0;
  #pid = 0;
  /** Undefined while no process runs. */
  #child: ChildProcess | undefined;
  #output = "";

  constructor(launch: Launch) {
    this.#launch = launch;
  }

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#pid;
  }

  get address(): string {
    return `${HOST}:${this.#port}`;
  }

  get url(): string {
    return `redis://${this.address}`;
  }

  /** Without a port, tries ports until the server can bind one: a look for a free one beforehand would prove nothing. */
  async startOn(port: number | undefined): Promise<this> {
    for (let attempt = 1; ; attempt += 1) {
      this.#port = port ?? randomInt(...PORT_RANGE);
      try {
        await this.#start();
        return this;
      } catch (error) {
        const taken = /address already in use/i.test(this.#output);
        if (taken && port === undefined && attempt < PORT_ATTEMPTS) continue;
        this.#removeFolder();
        throw error;
      }
    }
  }

  async stop(): Promise<void> {
    await this.kill("SIGKILL"); // nothing to save, and memcached takes a second over SIGTERM
    this.#removeFolder();
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    child?.kill(signal);
    if (child !== undefined && DEADLY.has(signal)) await exit(child);
  }

  async restart(): Promise<void> {
    if (this.#launch.folder === "") await this.kill("SIGKILL");
    else await this.#saveAndExit();
    await this.#start();
  }

  async #start(): Promise<void> {
    const child = this.#spawn();
    await once(child, "spawn");
    this.#child = child;
    this.#pid = child.pid!;
    try {
      await this.#answer(child);
    } catch (error) {
      await this.kill("SIGKILL");
      throw error;
    }
    for (const handle of [child, ...child.stdio]) (handle as ChildProcess | Socket | null)?.unref();
  }

  #spawn(): ChildProcess {
    const { command, portFlag, args, env, folder } = this.#launch;
    const server = [...command, portFlag, String(this.#port), ...args];
    // detached: its own session, as Ctrl-C on a terminal is for the parent, which may need its servers a moment longer
    const child = spawn("/bin/sh", ["-c", LAUNCHER, "sh", folder, ...server], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      detached: true,
      env: { ...process.env, ...env },
    });
    this.#output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_LIMIT);
      });
    }
    const watchdog = child.stdio[3] as Socket;
    watchdog.on("error", () => {}); // gone already: nothing to release
    child.once("exit", () => {
      this.#child = undefined;
      watchdog.end("released\n");
    });
    return child;
  }

  /** Resolves when the server itself answers on the port. */
  async #answer(child: ChildProcess): Promise<void> {
    const program = this.#launch.command[0];
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve())); // all of its output is there
    for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline; await sleep(PROBE_INTERVAL_MS)) {
      const answer = await ask(this.#port, this.#launch.question);
      if (this.#child !== child) {
        await closed;
        throw new Error(`${program} ended while starting on port ${this.#port}:\n${this.#output.trim()}`);
      }
      if (answer === undefined || answer.includes("-LOADING")) continue;
      if (Number(this.#launch.pidInAnswer.exec(answer)?.[1]) === child.pid || KEEPS_ITS_PID.test(answer)) return;
    }
    throw new Error(
      `${program} does not answer on port ${this.#port} in ${START_TIMEOUT_MS} ms:\n${this.#output.trim()}`,
    );
  }

  async #saveAndExit(): Promise<void> {
    const late = setTimeout(() => this.kill("SIGKILL"), STOP_TIMEOUT_MS);
    const exited = this.kill("SIGTERM");
    this.#child?.kill("SIGCONT"); // under SIGSTOP it would not see the other one
    await exited;
    clearTimeout(late);
  }

  #removeFolder(): void {
    if (this.#launch.folder !== "") rmSync(this.#launch.folder, { recursive: true, force: true });
  }
}

/** The whole answer up to the server's close, or undefined when nobody listens or answers in time. */
function ask(port: number, question: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer: string | undefined;
    const socket = connect(port, HOST, () => {
      answer = "";
      socket.write(question, "latin1");
    });
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      answer += text;
      if (KEEPS_ITS_PID.test(answer ?? "")) socket.destroy(); // it may not take our quit either
    });
    socket.setTimeout(PROBE_TIMEOUT_MS, () => {
      answer = undefined;
      socket.destroy();
    });
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => resolve(answer));
  });
}

/** Resolves at the end of a running process, and keeps the program alive until then. */
async function exit(child: ChildProcess): Promise<void> {
  child.ref();
  await once(child, "exit");
}
