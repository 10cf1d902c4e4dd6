/**
 * `/events`: server-sent events.
 *
 *   state   the cluster's snapshot, when it has changed, at most twice a second
 *   log     one entry of the event log; those of before come first
 *
 * One snapshot serves all listeners, and none is made while nobody listens. A listener that does not read is dropped, not buffered for.
 */
import { RingshiftError } from "../../errors.ts";
import type { EventLog, LogEntry } from "../event-log.ts";
import { HttpProblem } from "../http/problem.ts";
import type { StateView } from "./state.ts";

const EVERY_MS = 500;
const MAX_LISTENERS = 64;
/** Chunks that a listener may be behind. */
const MAX_BEHIND = 64;
/** Rounds between two comments that keep proxies from closing a silent connection. */
const BEAT_ROUNDS = 30;

/** A place comes free when a listener goes, not within the second that other 503s ask for. */
const RETRY_AFTER_S = "10";
const HEADERS = { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" };

type Controller = ReadableStreamDefaultController<Uint8Array>;

export class EventStream {
  readonly #read: () => Promise<StateView>;
  readonly #log: EventLog;
  readonly #listeners = new Set<Controller>();
  readonly #encoder = new TextEncoder();
  #timer: NodeJS.Timeout | undefined;
  #reading = false;
  #latest = "";
  #rounds = 0;
  #closed = false;

  constructor(read: () => Promise<StateView>, log: EventLog) {
    this.#read = read;
    this.#log = log;
    log.subscribe((entry) => this.#send(message("log", entry)));
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  /** The answer to HEAD: nobody listens. @throws as `open` */
  head(): Response {
    this.#admit();
    return new Response(null, { headers: HEADERS });
  }

  /** A new listener's response. @throws HttpProblem TOO_MANY_LISTENERS; RingshiftError CLOSED */
  open(): Response {
    this.#admit();
    let own: Controller;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          own = controller;
          this.#listeners.add(controller);
          controller.enqueue(this.#encoder.encode("retry: 1000\n\n"));
          for (const entry of this.#log.entries) controller.enqueue(this.#encoder.encode(message("log", entry)));
          if (this.#latest !== "") controller.enqueue(this.#encoder.encode(this.#latest));
          this.#timer ??= setInterval(() => void this.#round(), EVERY_MS);
          void this.#round();
        },
        cancel: () => this.#drop(own),
      },
      { highWaterMark: 1_000 },
    );
    return new Response(stream, { headers: HEADERS });
  }

  /** Ends all streams: a server that stops would wait for them. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#listeners) {
      this.#drop(controller);
      controller.close();
    }
  }

  #admit(): void {
    if (this.#closed) throw new RingshiftError("CLOSED", "The gateway is stopping.");
    if (this.#listeners.size < MAX_LISTENERS) return;
    const headers = { "retry-after": RETRY_AFTER_S };
    throw new HttpProblem(503, "TOO_MANY_LISTENERS", `At most ${MAX_LISTENERS} listen at a time.`, headers);
  }

  async #round(): Promise<void> {
    if (this.#reading || this.#closed) return;
    this.#reading = true;
    try {
      const text = message("state", await this.#read());
      if (text !== this.#latest) this.#send(text);
      else if (++this.#rounds % BEAT_ROUNDS === 0) this.#send(": beat\n\n");
      this.#latest = text;
    } finally {
      this.#reading = false;
    }
  }

  #send(text: string): void {
    if (this.#listeners.size === 0) return;
    const chunk = this.#encoder.encode(text);
    for (const controller of this.#listeners) {
      if ((controller.desiredSize ?? 0) > 1_000 - MAX_BEHIND) controller.enqueue(chunk);
      else {
        this.#drop(controller);
        controller.error(new Error("the listener does not read"));
      }
    }
  }

  #drop(controller: Controller): void {
    this.#listeners.delete(controller);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#latest = "";
  }
}

function message(event: "state" | "log", data: StateView | LogEntry): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
