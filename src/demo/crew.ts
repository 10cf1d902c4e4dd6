/** The client processes as the demo sees them: started, told what to do, listened to, ended. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Assignment, Books, FromClient, Report, Tally, ToClient } from "./messages.ts";

/** Compiled beside this file. */
const PROGRAM = fileURLToPath(new URL("./client-main.js", import.meta.url));

/** All processes' tallies together, and their clients' metrics. */
export interface Totals extends Readonly<Tally> {
  readonly pulled: number;
  readonly readsOfMovingKeys: number;
  /** Keys that have a value. */
  readonly present: number;
}

type Answer = FromClient["type"];

interface Question {
  readonly type: Answer;
  readonly resolve: (message: never) => void;
  readonly reject: (error: Error) => void;
}

export class Crew {
  readonly #members: readonly Member[];

  /** @param problem told of every wrong answer, in words */
  constructor(assignments: readonly Assignment[], problem: (text: string) => void) {
    this.#members = assignments.map((assignment) => new Member(assignment, problem));
    for (const member of this.#members) {
      member.onNews = (news) => {
        for (const other of this.#members) if (other !== member) other.tell({ type: "news", news });
      };
    }
  }

  /** Starts the processes and resolves when they have written all keys. @throws Error when one ends or cannot go on; so do all below */
  async load(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.load()));
  }

  /** Begins the traffic. */
  run(): void {
    for (const member of this.#members) member.tell({ type: "run" });
  }

  /** As of each process' latest report, some tenths of a second ago. */
  get latest(): Totals {
    return total(this.#members.map((member) => member.latest));
  }

  /** As of now. */
  async sample(): Promise<Totals> {
    return total(await Promise.all(this.#members.map(async (member) => (await member.ask("sample", "sample")).report)));
  }

  /** Ends the traffic and the processes, and answers what they know. */
  async stop(): Promise<Books[]> {
    const books = await Promise.all(this.#members.map(async (member) => (await member.ask("stop", "books")).books));
    await this.end();
    return books;
  }

  /** Ends the processes, whatever they are doing. Never rejects. */
  async end(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.end()));
  }
}

class Member {
  readonly #assignment: Assignment;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  /** Questions without an answer yet, in their order. */
  readonly #waiting: Question[] = [];
  #failure: Error | undefined;
  latest: Report | undefined;
  onNews: (news: Int32Array) => void = () => {};

  constructor(assignment: Assignment, problem: (text: string) => void) {
    this.#assignment = assignment;
    // stdout is the demo's own; typed arrays travel by structured clone
    this.#child = fork(PROGRAM, { stdio: ["ignore", 2, 2, "ipc"], serialization: "advanced", execArgv: [] });
    this.#exited = once(this.#child, "exit");
    this.#exited.then(
      () => this.#fail("ended"),
      (error) => this.#fail(String(error)),
    );
    this.#child.on("message", (message: FromClient) => this.#hear(message, problem));
    this.#child.on("error", (error) => this.#fail(error.message));
  }

  async load(): Promise<void> {
    const loaded = this.#answer("loaded");
    this.tell({ type: "load", assignment: this.#assignment });
    await loaded;
  }

  tell(message: ToClient): void {
    if (this.#child.connected) this.#child.send(message, () => {}); // one that has ended is found out by its exit
  }

  ask<T extends Answer>(question: "sample" | "stop", answer: T): Promise<Extract<FromClient, { type: T }>> {
    const answered = this.#answer(answer);
    this.tell({ type: question });
    return answered;
  }

  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited.catch(() => {});
  }

  #answer<T extends Answer>(type: T): Promise<Extract<FromClient, { type: T }>> {
    return new Promise((resolve, reject) => {
      if (this.#failure === undefined) this.#waiting.push({ type, resolve, reject });
      else reject(this.#failure);
    });
  }

  #hear(message: FromClient, problem: (text: string) => void): void {
    if (message.type === "problem") problem(`client ${this.#assignment.index + 1}: ${message.text}`);
    if (message.type === "failed") this.#fail(`could not go on: ${message.text}`);
    if (message.type === "news") this.onNews(message.news);
    if (message.type === "report" || message.type === "sample") this.latest = message.report;
    if (message.type === "books") this.latest = message.books.report;
    const at = this.#waiting.findIndex(({ type }) => type === message.type);
    if (at >= 0) this.#waiting.splice(at, 1)[0]!.resolve(message as never);
  }

  #fail(why: string): void {
    this.#failure ??= new Error(`Client process ${this.#assignment.index + 1} ${why}`);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}

function total(reports: readonly (Report | undefined)[]): Totals {
  const sum = (number: (report: Report) => number) =>
    reports.reduce((all, report) => all + (report === undefined ? 0 : number(report)), 0);
  return {
    operations: sum(({ tally }) => tally.operations),
    failedReads: sum(({ tally }) => tally.failedReads),
    staleReads: sum(({ tally }) => tally.staleReads),
    lostKeys: sum(({ tally }) => tally.lostKeys),
    failedWrites: sum(({ tally }) => tally.failedWrites),
    ambiguousWrites: sum(({ tally }) => tally.ambiguousWrites),
    pulled: sum(({ metrics }) => metrics.pulled),
    readsOfMovingKeys: sum(({ metrics }) => metrics.readsOfMovingKeys),
    present: sum(({ present }) => present),
  };
}
