/** The link against a real memcached. */
import { beforeAll, describe, expect, test } from "vitest";
import { stats } from "../../src/memcached/admin.ts";
import {
  classicAdd,
  classicAppend,
  classicCas,
  classicPrepend,
  classicSet,
  metaArithmetic,
  metaDelete,
  metaGet,
  metaNoop,
  metaSet,
  metaTouch,
} from "../../src/memcached/commands.ts";
import { formatFence } from "../../src/memcached/fence.ts";
import { Link, type LinkOptions } from "../../src/memcached/link.ts";
import { ask, type RealServer, startMemcached } from "./support.ts";

const FENCE_KEY = "ringshift:fence:test";
const INCARNATION = "00000000000000aa";
let server: RealServer;

beforeAll(async () => {
  server = await startMemcached("-I", "4m");
});

async function withLink(options: Partial<LinkOptions>, work: (link: Link) => Promise<void>): Promise<void> {
  const link = new Link({ name: "a", address: server.address, timeoutMs: 10_000, ...options });
  try {
    await work(link);
  } finally {
    await link.close();
  }
}

describe("commands and their replies", () => {
  test("set, get, touch, delete with all that an answer carries", () =>
    withLink({}, async (link) => {
      const stored = await ask(
        link,
        metaSet("k", Buffer.from("one"), { flags: 0xffff_ffff, ttl: 100, returnCas: true }),
      );
      expect(stored).toMatchObject({ status: "HD", cas: expect.stringMatching(/^\d+$/) });
      const got = await ask(link, metaGet("k", "v t f c s"));
      expect(got).toMatchObject({
        status: "VA",
        value: Buffer.from("one"),
        flags: 0xffff_ffff,
        cas: stored.cas,
        size: 3,
      });
      expect(got.ttl).toBeGreaterThan(90);
      expect(await ask(link, metaTouch("k", 0, "t"))).toMatchObject({ status: "HD", ttl: -1 });
      expect(await ask(link, metaGet("k"))).toMatchObject({ status: "HD" });
      expect(await ask(link, metaDelete("k", { cas: "999999" }))).toMatchObject({ status: "EX" });
      expect(await ask(link, metaDelete("k", { cas: stored.cas }))).toMatchObject({ status: "HD" });
      expect(await ask(link, metaDelete("k"))).toMatchObject({ status: "NF" });
      expect(await ask(link, metaGet("k", "v"))).toMatchObject({ status: "EN", value: undefined });
    }));

  test("the modes of ms, and cas", () =>
    withLink({}, async (link) => {
      const set = (data: string, mode: "S" | "E" | "R" | "A" | "P", cas?: string) =>
        ask(link, metaSet("m", Buffer.from(data), { mode, flags: 0, ttl: 0, cas, returnCas: true }));
      await ask(link, metaDelete("m"));
      expect((await set("x", "R")).status).toBe("NS");
      expect((await set("x", "A")).status).toBe("NS");
      expect((await set("b", "E")).status).toBe("HD");
      expect((await set("b", "E")).status).toBe("NS");
      expect((await set("c", "A")).status).toBe("HD");
      const { cas } = await set("a", "P");
      expect((await ask(link, metaGet("m", "v"))).value?.toString()).toBe("abc");
      expect((await set("z", "S", "999999")).status).toBe("EX");
      expect((await set("z", "S", cas)).status).toBe("HD");
    }));

  test("arithmetic: value, wrap, floor, non-numeric, miss", () =>
    withLink({}, async (link) => {
      const value = async (...options: Parameters<typeof metaArithmetic>) =>
        (await ask(link, metaArithmetic(...options))).value?.toString();
      await ask(link, metaSet("n", Buffer.from("18446744073709551610"), { flags: 0, ttl: 0 }));
      expect(await value("n", { delta: 5 })).toBe("18446744073709551615");
      expect(await value("n", { delta: 2n })).toBe("1");
      expect(await value("n", { delta: 5, decrement: true })).toBe("0");
      await ask(link, metaSet("n", Buffer.from("abc"), { flags: 0, ttl: 0 }));
      expect((await ask(link, metaArithmetic("n", { delta: 1 }))).status).toBe("CLIENT_ERROR");
      expect((await ask(link, metaArithmetic("nobody", { delta: 1 }))).status).toBe("NF");
    }));

  test("classic commands", () =>
    withLink({}, async (link) => {
      const data = Buffer.from("v");
      await ask(link, metaDelete("c"));
      expect((await ask(link, classicAppend("c", data))).status).toBe("NOT_STORED");
      expect((await ask(link, classicCas("c", 0, 0, "1", data))).status).toBe("NOT_FOUND");
      expect((await ask(link, classicAdd("c", 3, 0, data))).status).toBe("STORED");
      expect((await ask(link, classicAdd("c", 3, 0, data))).status).toBe("NOT_STORED");
      expect((await ask(link, classicCas("c", 0, 0, "999999", data))).status).toBe("EXISTS");
      expect((await ask(link, classicPrepend("c", Buffer.from("<")))).status).toBe("STORED");
      expect((await ask(link, classicAppend("c", Buffer.from(">")))).status).toBe("STORED");
      const { value, flags, cas } = await ask(link, metaGet("c", "v f c"));
      expect([value?.toString(), flags]).toEqual(["<v>", 3]);
      expect((await ask(link, classicCas("c", 9, 50, cas as string, data))).status).toBe("STORED");
      expect((await ask(link, classicSet("c", 1, 0, data))).status).toBe("STORED");
      expect((await ask(link, metaNoop())).status).toBe("MN");
      expect(await ask(link, { line: "version" })).toMatchObject({
        status: "VERSION",
        message: expect.stringMatching(/^1\./),
      });
    }));

  test("a value over the item size limit is one error, and the next command is not touched by it", () =>
    withLink({}, async (link) => {
      const big = Buffer.alloc(5_000_000, "flush_all\r\n");
      const { replies } = await link.exchange([metaSet("safe", Buffer.from("1"), { flags: 0, ttl: 0 })]);
      expect(replies[0]?.status).toBe("HD");
      for (const command of [
        metaSet("big", big, { flags: 0, ttl: 0 }),
        classicAdd("big", 0, 0, big),
        classicCas("big", 0, 0, "1", big),
      ]) {
        const [failed, after] = await Promise.all([ask(link, command), ask(link, metaGet("safe", "v"))]);
        expect(failed.status).toBe("SERVER_ERROR");
        expect(failed.message).toContain("too large");
        expect(after.value?.toString()).toBe("1");
      }
    }));

  test("keys of odd bytes go through", () =>
    withLink({}, async (link) => {
      for (const key of ["__proto__", "\xc3\xa9%=+&", "\xff".repeat(250), "v", "mg"]) {
        await ask(link, metaSet(key, Buffer.from(key, "latin1"), { flags: 0, ttl: 0 }));
        expect((await ask(link, metaGet(key, "v"))).value?.toString("latin1")).toBe(key);
      }
    }));
});

test("values of many lengths come back as they went, sent and read at once", () =>
  withLink({ fenceKey: FENCE_KEY }, async (link) => {
    const lengths = [
      0, 1, 2, 100, 2047, 2048, 2049, 4096, 65_535, 65_536, 65_537, 262_143, 262_144, 262_145, 1_048_576, 3_000_000,
    ];
    const values = lengths.map((length) =>
      Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 2654435761 + length) >>> 13)),
    );
    const stored = await Promise.all(
      values.map((value, i) => ask(link, metaSet(`len${i}`, value, { flags: i, ttl: 0 }))),
    );
    expect(stored.map((reply) => reply.status)).toEqual(lengths.map(() => "HD"));
    const got = await Promise.all(values.map((_, i) => ask(link, metaGet(`len${i}`, "v f"))));
    expect(got.map((reply) => reply.value?.length)).toEqual(lengths);
    expect(got.map((reply, i) => reply.flags === i && reply.value?.equals(values[i] as Buffer))).toEqual(
      lengths.map(() => true),
    );
  }));

test("ten thousand exchanges submitted at once are each given their own answer", () =>
  withLink({ fenceKey: FENCE_KEY }, async (link) => {
    const numbers = Array.from({ length: 10_000 }, (_, i) => i);
    await Promise.all(numbers.map((i) => ask(link, metaSet(`many${i}`, Buffer.from(`v${i}`), { flags: 0, ttl: 0 }))));
    const got = await Promise.all(
      numbers.map((i) =>
        link.exchange([metaGet(`many${i}`, "v"), metaGet(`absent${i}`, "v"), metaGet(`many${i}`, "v")]),
      ),
    );
    expect(got.map(({ replies }) => replies.map((reply) => reply.value?.toString()))).toEqual(
      numbers.map((i) => [`v${i}`, undefined, `v${i}`]),
    );
  }));

test("answers that arrived while this process stood still are not timed out", () =>
  withLink({ timeoutMs: 100 }, async (link) => {
    await link.exchange([]);
    const answer = link.exchange([metaGet("absent", "v")]);
    await new Promise<void>((resolve) => setImmediate(resolve));
    for (const end = Date.now() + 400; Date.now() < end; );
    expect((await answer).replies[0]?.status).toBe("EN");
  }));

describe("the fence", () => {
  test("is read with every exchange, and gives the connection its incarnation", () =>
    withLink({ fenceKey: FENCE_KEY }, async (link) => {
      await ask(link, metaDelete(FENCE_KEY));
      const before = await link.exchange([metaGet("k")]);
      expect(before.fence).toBeUndefined();
      expect(before.connection.incarnation).toBeUndefined();

      const text = formatFence(12, INCARNATION, true);
      const planted = await link.exchange([metaSet(FENCE_KEY, Buffer.from(text), { flags: 0, ttl: 0 })]);
      expect(planted.fence).toEqual({ number: 12, incarnation: INCARNATION, unindexed: true, text });
      expect(planted.connection).toBe(before.connection);
      expect(link.connection).toBe(before.connection);
      expect(before.connection.incarnation).toBe(INCARNATION);
      expect((await link.exchange([])).fence).toBe(planted.fence);
      expect(before.connection.incarnation).toBe(INCARNATION);

      const nonce = await link.exchange([metaSet(FENCE_KEY, Buffer.from("nonce x"), { flags: 0, ttl: 0 })]);
      expect(nonce.fence).toMatchObject({ number: undefined, text: "nonce x" });
      expect(nonce.connection.incarnation).toBeUndefined();
    }));

  test("an exchange without commands reads it alone", () =>
    withLink({ fenceKey: FENCE_KEY }, async (link) => {
      await ask(link, metaSet(FENCE_KEY, Buffer.from(formatFence(3, INCARNATION, false)), { flags: 0, ttl: 0 }));
      expect(await link.exchange([])).toMatchObject({ replies: [], fence: { number: 3 } });
    }));

  test("a plain client reads none", () =>
    withLink({}, async (link) => {
      expect((await link.exchange([metaGet("k")])).fence).toBeUndefined();
      expect(await link.exchange([])).toMatchObject({ replies: [], fence: undefined });
    }));

  test("is got once a flush", () =>
    withLink({ fenceKey: FENCE_KEY }, async (link) => {
      await link.exchange([]);
      const gets = async () => Number((await stats(server.address)).get("cmd_get"));
      const before = await gets();
      await Promise.all(Array.from({ length: 126 }, (_, i) => link.exchange([metaGet(`k${i}`, "v")])));
      expect((await gets()) - before).toBe(126 + 2);
    }));
});
