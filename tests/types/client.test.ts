/** The public types, as a user's editor sees them. Checked by `tsc`; nothing here connects to anything. */
import { describe, expectTypeOf, test } from "vitest";
import type {
  CasToken,
  Client,
  ClientEvents,
  ClientOptions,
  CountOptions,
  ErrorCode,
  ItemMeta,
  Metrics,
  RingshiftError,
  Serializer,
  Versioned,
} from "../../src/index.ts";
import { isRingshiftError } from "../../src/index.ts";

interface User {
  readonly name: string;
}

/** Resolves the method's answer without calling it. */
type Answer<T extends (...words: never[]) => unknown> = Awaited<ReturnType<T>>;

describe("reads", () => {
  test("get<T> is T or undefined, and unknown unless said", () => {
    expectTypeOf<Client["get"]>().toBeCallableWith("k");
    expectTypeOf<Client["get"]>().toBeCallableWith("k", { signal: new AbortController().signal });
    const typed = (cache: Client) => cache.get<User>("k");
    expectTypeOf<Answer<typeof typed>>().toEqualTypeOf<User | undefined>();
    const untyped = (cache: Client) => cache.get("k");
    expectTypeOf<Answer<typeof untyped>>().toEqualTypeOf<unknown>();
  });

  test("gets, getMulti, gat, getMeta", () => {
    const gets = (cache: Client) => cache.gets<User>("k");
    expectTypeOf<Answer<typeof gets>>().toEqualTypeOf<Versioned<User> | undefined>();
    const many = (cache: Client) => cache.getMulti<User>(new Set(["a"]));
    expectTypeOf<Answer<typeof many>>().toEqualTypeOf<Map<string, User>>();
    const gat = (cache: Client) => cache.gat<User>("k", 1);
    expectTypeOf<Answer<typeof gat>>().toEqualTypeOf<User | undefined>();
    expectTypeOf<Answer<Client["getMeta"]>>().toEqualTypeOf<ItemMeta | undefined>();
  });

  test("getOrSet is what load makes", () => {
    const user: User = { name: "Ada" };
    const later = (cache: Client) => cache.getOrSet("k", 1, async () => user);
    expectTypeOf<Answer<typeof later>>().toEqualTypeOf<User>();
    const maybe = (cache: Client) => cache.getOrSet("k", 1, (): User | undefined => user, { staleTtl: 5 });
    expectTypeOf<Answer<typeof maybe>>().toEqualTypeOf<User | undefined>();
  });
});

describe("writes", () => {
  test("answers", () => {
    expectTypeOf<Answer<Client["set"]>>().toEqualTypeOf<true>();

    expectTypeOf<Answer<Client["add"]>>().toEqualTypeOf<boolean>();
    expectTypeOf<Answer<Client["cas"]>>().toEqualTypeOf<boolean>();
    expectTypeOf<Answer<Client["append"]>>().toEqualTypeOf<boolean>();
    expectTypeOf<Answer<Client["delete"]>>().toEqualTypeOf<boolean>();
    expectTypeOf<Answer<Client["deleteMulti"]>>().toEqualTypeOf<Map<string, boolean>>();
    expectTypeOf<Parameters<Client["cas"]>[2]>().toEqualTypeOf<CasToken>();
  });

  test("setMulti takes pairs as they come out of map, a Map, and an object, and nothing looser", () => {
    const keys: string[] = [];
    const pairs = (cache: Client) => cache.setMulti(keys.map((key) => [key, { any: key }]));
    expectTypeOf<Answer<typeof pairs>>().toEqualTypeOf<true>();
    const tuples: [string, number][] = [];
    const listed = (cache: Client) => cache.setMulti(tuples, { ttl: 5 });
    expectTypeOf<Answer<typeof listed>>().toEqualTypeOf<true>();
    const map = (cache: Client) => cache.setMulti(new Map([["k", 1]]));
    expectTypeOf<Answer<typeof map>>().toEqualTypeOf<true>();
    const object = (cache: Client) => cache.setMulti({ k: 1, l: "text" });
    expectTypeOf<Answer<typeof object>>().toEqualTypeOf<true>();
    const user: User = { name: "Ada" };
    const typed = (cache: Client) => cache.setMulti(user);
    expectTypeOf<Answer<typeof typed>>().toEqualTypeOf<true>();
    // @ts-expect-error a key that is no string
    const numbered = (cache: Client) => cache.setMulti([[1, 2]]);
    // @ts-expect-error an entry without a value
    const short = (cache: Client) => cache.setMulti([["k"]]);
    // @ts-expect-error what is not awaited
    const promised = (cache: Client) => cache.setMulti(Promise.resolve({ k: 1 }));
    expectTypeOf([numbered, short, promised]).toBeArray();
  });

  test("options that a command does not have do not compile", () => {
    // @ts-expect-error misspelt
    const misspelt = (cache: Client) => cache.set("k", 1, { tll: 5 });
    // @ts-expect-error a bare TTL, as memcached's own argument order has it
    const bare = (cache: Client) => cache.set("k", 1, 5);
    // @ts-expect-error reads have no TTL
    const reading = (cache: Client) => cache.get("k", { ttl: 5 });
    expectTypeOf([misspelt, bare, reading]).toBeArray();
  });

  test("append takes text or bytes only", () => {
    expectTypeOf<Parameters<Client["append"]>[1]>().toEqualTypeOf<string | Uint8Array>();
  });

  test("counters answer numbers, and bigints where asked", () => {
    const number = (cache: Client) => cache.incr("k", 1, { initial: 5, ttl: 1 });
    expectTypeOf<Answer<typeof number>>().toEqualTypeOf<number | undefined>();
    const bigint = (cache: Client) => cache.decr("k", 1n, { bigint: true });
    expectTypeOf<Answer<typeof bigint>>().toEqualTypeOf<bigint | undefined>();
    const either = (cache: Client, options: CountOptions) => cache.incr("k", 1, options);
    expectTypeOf<Answer<typeof either>>().toEqualTypeOf<number | bigint | undefined>();
    const unset = (cache: Client) => cache.incr("k", 1, { bigint: undefined });
    expectTypeOf<Answer<typeof unset>>().toEqualTypeOf<number | undefined>();
    expectTypeOf<Client["increment"]>().toEqualTypeOf<Client["incr"]>();
  });
});

describe("the rest", () => {
  test("events carry what they are about, and never a value", () => {
    expectTypeOf<ClientEvents["hit"]>().toEqualTypeOf<[{ readonly key: string }]>();
    expectTypeOf<ClientEvents["nodeDown"][0]["error"]>().toEqualTypeOf<RingshiftError | undefined>();
    const listen = (cache: Client) =>
      cache.on("migration", ({ state }) => expectTypeOf(state).toEqualTypeOf<"begun" | "ended">());
    expectTypeOf<ReturnType<typeof listen>>().toEqualTypeOf<Client>();
  });

  test("errors", () => {
    const narrow = (error: unknown) => (isRingshiftError(error, "NODE_DOWN") ? error : undefined);
    expectTypeOf<ReturnType<typeof narrow>>().toEqualTypeOf<RingshiftError | undefined>();
    expectTypeOf<RingshiftError["code"]>().toEqualTypeOf<ErrorCode>();
    expectTypeOf<RingshiftError["failed"]>().toEqualTypeOf<ReadonlyMap<string, RingshiftError> | undefined>();
  });

  test("options of a client may be undefined, as they come out of process.env", () => {
    const from = (env: Record<string, string | undefined>): ClientOptions => ({
      redis: env.REDIS,
      namespace: env.NAME,
    });
    expectTypeOf(from).returns.toEqualTypeOf<ClientOptions>();
  });

  test("no any in what is public", () => {
    expectTypeOf<ClientOptions[keyof ClientOptions]>().not.toBeAny();
    expectTypeOf<ReturnType<Serializer["deserialize"]>>().toEqualTypeOf<unknown>();
    expectTypeOf<Metrics[keyof Metrics]>().toEqualTypeOf<number>();
    expectTypeOf<Answer<Client["stats"]>>().toEqualTypeOf<Record<string, Record<string, string>>>();
  });
});
