/**
 * The connections of one process to Redis, by ioredis: one for commands, a second one for announcements as soon as somebody subscribes.
 *
 *   run (a script) ─► call ─► ioredis, which waits for a reconnection up to a limit ─► reply
 *                                                                                  └► REDIS_UNREACHABLE, with what the connection failed with
 */
import { Redis, type RedisOptions, ReplyError } from "ioredis";
import { RingshiftError } from "../errors.ts";
import * as scripts from "./scripts.ts";

/** Default time of one command: what a client waits before it goes on without Redis. */
const COMMAND_TIMEOUT_MS = 1_000;
/** Time of one command of an operator, who has no other way. */
export const OPERATOR_TIMEOUT_MS = 5_000;
/** ioredis waits for so long at its end, also for a connection that is gone; nothing that matters is under way then. */
const DISCONNECT_MS = 0;
/** Reconnections that an operator's command waits for: 1.5 s of pauses. */
const OPERATOR_RETRIES = 4;

const ANOTHER = "Name another with --redis or RINGSHIFT_REDIS.";

const COMMANDS = {
  rsRead: scripts.READ,
  rsPublish: scripts.PUBLISH,
  rsRecord: scripts.RECORD,
  rsUnrecord: scripts.UNRECORD,
  rsPage: scripts.PAGE,
  rsHeartbeat: scripts.HEARTBEAT,
  rsUnacknowledged: scripts.UNACKNOWLEDGED,
  rsLease: scripts.LEASE,
  rsRelease: scripts.RELEASE,
};

export class RedisConnection {
  readonly #redis: Redis;
  #subscriber: Redis | undefined;
  readonly #url: string;

  /** What the connection failed with last: says more than ioredis' own errors of the commands that waited for it. */
  #lastError: Error | undefined;

  /**
   * @param url `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS
   * @param timeoutMs of one command, and of a connection
   */
  constructor(url: string, timeoutMs = COMMAND_TIMEOUT_MS) {
    this.#url = url;
    // an operator's command bears with a Redis that is just restarting
    const maxRetriesPerRequest = timeoutMs > COMMAND_TIMEOUT_MS ? OPERATOR_RETRIES : 1;
    this.#redis = connect(url, { commandTimeout: timeoutMs, maxRetriesPerRequest, connectTimeout: timeoutMs });
    this.#redis.on("error", (error: Error) => {
      this.#lastError = error;
    });
    this.#redis.on("ready", () => {
      this.#lastError = undefined;
    });
    for (const [name, lua] of Object.entries(COMMANDS)) this.#redis.defineCommand(name, { lua });
  }

  /** Runs one of the scripts. @throws RingshiftError REDIS_UNREACHABLE */
  run(
    command: keyof typeof COMMANDS | "rsPageBuffer",
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ) {
    return this.call((redis) => {
      const call = (redis as unknown as Record<string, (...words: unknown[]) => Promise<unknown>>)[command]!;
      return call.call(redis, keys.length, ...keys, ...args);
    });
  }

  /** @throws RingshiftError REDIS_UNREACHABLE, also for what Redis answers an error */
  call<T>(call: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#guard(call(this.#redis));
  }

  async #guard<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      throw this.unreachable(error);
    }
  }

  /** The error of a call that failed with `cause`. */
  unreachable(cause: unknown): RingshiftError {
    const error = this.#lastError ?? cause;
    const why = error instanceof Error ? error.message || error.name : String(error);
    const what =
      error instanceof ReplyError
        ? `refuses a command (${why}): ${helpFor(why)}`
        : `does not answer (${why}): is it running?`;
    return new RingshiftError("REDIS_UNREACHABLE", `Redis at ${printable(this.#url)} ${what} ${ANOTHER}`, { cause });
  }

  /** Calls back at every message on the channel, and after every reconnection. One channel only. */
  subscribe(channel: string, announced: () => void): void {
    const subscriber = connect(this.#url, { maxRetriesPerRequest: null });
    this.#subscriber = subscriber;
    subscriber.on("message", announced);
    subscriber.on("ready", announced);
    subscriber.subscribe(channel).catch(() => {}); // ioredis subscribes again when it has reconnected
  }

  close(): void {
    this.#subscriber?.disconnect();
    this.#redis.disconnect();
  }
}

function connect(url: string, options: RedisOptions): Redis {
  const retryStrategy = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000);
  const end = { disconnectTimeout: DISCONNECT_MS };
  const redis = new Redis(url, { ...options, ...end, retryStrategy, replyMapping: "legacy" as const });
  redis.on("error", () => {}); // every call that fails rejects by itself; reconnecting is ioredis' business
  return redis;
}

/** What helps where Redis answers an error. */
function helpFor(error: string): string {
  if (/^(MISCONF|OOM)/.test(error)) return "is its disk full, or its memory (maxmemory)?";
  if (/^(NOAUTH|WRONGPASS|NOPERM)/.test(error)) return "user and password go into the URL, redis://user:password@host.";
  if (error.startsWith("READONLY")) return "is it a replica by now?";
  return "its own log may say more.";
}

/** The URL without its password, for messages. */
function printable(url: string): string {
  return url.replace(/\/\/([^@/]*)@/, "//");
}
