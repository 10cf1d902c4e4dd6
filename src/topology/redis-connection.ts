/**
 * The connections of one process to Redis, by ioredis: one for commands, a second one for announcements as soon as somebody subscribes.
 *
 *   run (a script) ─► call ─► ioredis, which waits for a reconnection up to a limit ─► reply
 *                                                                                  └► REDIS_UNREACHABLE, with what the connection failed with
 *
 * No command runs in another database than the URL's. Where its SELECT fails ioredis only emits an error, then goes on in database 0; so a
 * connection whose handshake has met any error is ended before ioredis sends what waits for it. Refused at the first time of all, the URL is
 * wrong (INVALID_OPTION), and nothing is tried again; refused later (a fail-over, another ACL), Redis counts as away until it is not.
 */
import { Redis, type RedisOptions, ReplyError } from "ioredis";
import { invalidOption, RingshiftError } from "../errors.ts";
import { isRedisUrl, printableRedisUrl, REDIS_URL_FORM } from "./redis-url.ts";
import * as scripts from "./scripts.ts";

/** Default time of one command: what a client waits before it goes on without Redis. */
const COMMAND_TIMEOUT_MS = 1_000;
/** Time of one command of an operator, who has no other way. */
export const OPERATOR_TIMEOUT_MS = 5_000;
/** ioredis waits for so long at its end, also for a connection that is gone; nothing that matters is under way then. */
const DISCONNECT_MS = 0;
/** Reconnections that an operator's command waits for: 1.5 s of pauses. */
const OPERATOR_RETRIES = 4;

/** How Redis begins its answer to a SELECT that will never do; others (BUSY, LOADING) pass. */
const NEVER = /^(ERR|NOPERM)\b/;
const LOST_DATABASE = "has a fail-over or an ACL taken its database away?";
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
  /** With what Redis has refused the database at the first time of all: the connection has ended. */
  #refused: Error | undefined;
  #everReady = false;

  /**
   * @param url `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS
   * @param timeoutMs of one command, and of a connection
   * @throws RingshiftError INVALID_OPTION
   */
  constructor(url: string, timeoutMs = COMMAND_TIMEOUT_MS) {
    if (!isRedisUrl(url)) throw invalidOption(`redis takes ${REDIS_URL_FORM}.`);
    this.#url = url;
    // an operator's command bears with a Redis that is just restarting
    const maxRetriesPerRequest = timeoutMs > COMMAND_TIMEOUT_MS ? OPERATOR_RETRIES : 1;
    this.#redis = connect(url, { commandTimeout: timeoutMs, maxRetriesPerRequest, connectTimeout: timeoutMs });
    this.#redis.on("error", (error: Error) => this.#failed(error));
    this.#redis.on("ready", () => {
      this.#everReady = true;
      this.#lastError = undefined;
    });
    for (const [name, lua] of Object.entries(COMMANDS)) this.#redis.defineCommand(name, { lua });
  }

  #failed(error: Error): void {
    this.#lastError = error;
    if (this.#redis.status !== "connect") return;
    // a handshake; also where the answer to SELECT is only late, since ioredis does not look at it any more
    if (!this.#everReady && isSelect(error) && NEVER.test(error.message)) {
      this.#refused = error;
      this.#redis.disconnect();
    } else {
      this.#redis.disconnect(true);
    }
  }

  /** Runs one of the scripts. @throws RingshiftError as `call` */
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

  /** @throws RingshiftError REDIS_UNREACHABLE, also for what Redis answers an error; INVALID_OPTION when it has no such database for us */
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
    const at = `Redis at ${printableRedisUrl(this.#url)}`;
    if (this.#refused !== undefined) {
      const what = `Database ${this.#redis.options.db} of ${at} cannot be selected (${this.#refused.message})`;
      return invalidOption(
        `${what}: the URL (option redis, --redis or RINGSHIFT_REDIS) names another, or none for database 0.`,
      );
    }
    const error = this.#lastError ?? cause;
    const why = error instanceof Error ? error.message || error.name : String(error);
    const what =
      error instanceof ReplyError
        ? `refuses a command (${why}): ${isSelect(error) && NEVER.test(why) ? LOST_DATABASE : helpFor(why)}`
        : `does not answer (${why}): is it running?`;
    return new RingshiftError("REDIS_UNREACHABLE", `${at} ${what} ${ANOTHER}`, { cause });
  }

  /** Calls back at every message on the channel, and after every reconnection. One channel only. */
  subscribe(channel: string, announced: () => void): void {
    // announcements belong to no database, so this connection may go on where its SELECT fails
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

function isSelect(error: unknown): boolean {
  return error instanceof ReplyError && (error as { command?: { name?: string } }).command?.name === "select";
}

/** What helps where Redis answers an error. */
function helpFor(error: string): string {
  if (/^(MISCONF|OOM)/.test(error)) return "is its disk full, or its memory (maxmemory)?";
  if (/^(NOAUTH|WRONGPASS|NOPERM)/.test(error)) return "user and password go into the URL, redis://user:password@host.";
  if (error.startsWith("READONLY")) return "is it a replica by now?";
  return "its own log may say more.";
}
