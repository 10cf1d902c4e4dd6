/** A child process that is given one task, on the cores it belongs to, and answers. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { pinnedNode } from "./measure/pinning.ts";
import type { Task } from "./worker.ts";

const WORKER = fileURLToPath(new URL("./worker.js", import.meta.url));

/** A child that says nothing for this long has lost its way. */
const PATIENCE_MS = 300_000;

export interface Child<Message> {
  readonly process: ChildProcess;
  /** The next message. @throws Error when the child ends without one */
  next(): Promise<Message>;
  send(message: object): void;
}

export function startChild<Message>(task: Task, cores: string | undefined): Child<Message> {
  const child = fork(WORKER, [], { stdio: ["ignore", "inherit", "inherit", "ipc"], ...pinnedNode(cores) });
  child.send(task);
  const arrived: Message[] = [];
  let waiting: { resolve: (message: Message) => void; reject: (error: Error) => void } | undefined;
  let ended: Error | undefined;
  child.on("message", (message) => {
    if (waiting === undefined) arrived.push(message as Message);
    else waiting.resolve(message as Message);
    waiting = undefined;
  });
  const end = (error: Error) => {
    ended ??= error;
    waiting?.reject(ended);
    waiting = undefined;
  };
  child.on("error", end);
  child.on("exit", (code, signal) => end(new Error(`${task.job} ended with ${signal ?? `code ${code}`}`)));
  return {
    process: child,
    send: (message) => void child.send(message),
    next: () => {
      const first = arrived.shift();
      if (first !== undefined) return Promise.resolve(first);
      if (ended !== undefined) return Promise.reject(ended);
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          child.kill("SIGKILL");
          reject(new Error(`${task.job} said nothing for ${PATIENCE_MS / 1000} s`));
        }, PATIENCE_MS);
        waiting = {
          resolve: (message) => {
            clearTimeout(late);
            resolve(message);
          },
          reject: (error) => {
            clearTimeout(late);
            reject(error);
          },
        };
      });
    },
  };
}

/** One task, one answer, and the child's end. */
export async function ask<Message>(task: Task, cores: string | undefined): Promise<Message> {
  const child = startChild<Message>(task, cores);
  const exited = new Promise<void>((resolve) => child.process.once("exit", () => resolve()));
  const answer = await child.next();
  await exited;
  return answer;
}
