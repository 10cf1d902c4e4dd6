/** The keys of writes that are lost while Redis does not answer, and a server that comes back meanwhile. */
import { beforeEach, expect, test } from "vitest";
import { Rejoin } from "../../src/client/rejoin.ts";
import { RingshiftError } from "../../src/errors.ts";
import type { Command } from "../../src/memcached/exchange.ts";
import type { FirstWords } from "../../src/memcached/link.ts";
import type { LinkPool } from "../../src/memcached/pool.ts";
import type { DirtyKeys } from "../../src/topology/dirty-keys.ts";
import { namespaceOf } from "../../src/topology/namespace.ts";

const NODE = { name: "a", address: "127.0.0.1:1" };

let rejoin: Rejoin;
/** What the server was told to delete. */
let deleted: string[];
/** What its answers wait for. */
let answers: Promise<void>;
let answer: () => void;

const unreachable = () => Promise.reject(new RingshiftError("REDIS_UNREACHABLE", "down"));
const exchange = (async (commands: readonly Command[]) => {
  for (const { line } of commands) deleted.push(line.split(" ")[1]!);
  await answers;
  return { replies: commands.map(() => ({ status: "HD" })) };
}) as unknown as FirstWords;

beforeEach(() => {
  deleted = [];
  answers = new Promise((resolve) => {
    answer = resolve;
  });
  rejoin = new Rejoin("repair", namespaceOf(undefined), {
    add: unreachable,
    some: async () => [],
  } as Partial<DirtyKeys> as DirtyKeys);
  const pool = {
    link: () => ({ suspect: () => {} }),
    async *dump() {
      yield "old";
    },
  };
  rejoin.attach(pool as unknown as LinkPool);
});

test("a key that is lost during a repair is repaired by the next one", async () => {
  await rejoin.lost([NODE], "a", "first");
  await rejoin.lost([NODE], "a", "again");
  const repair = rejoin.readmit(NODE, exchange);
  await rejoin.lost([NODE], "a", "meanwhile");
  await rejoin.lost([NODE], "a", "again");
  answer();
  await repair;
  expect(deleted).toStrictEqual(["first", "again"]);
  await rejoin.readmit(NODE, exchange);
  expect(deleted.slice(2)).toStrictEqual(["again", "meanwhile"]);
  await rejoin.readmit(NODE, exchange);
  expect(deleted).toHaveLength(4);
});

test("a key that is lost during the flush of a server that has lost too many takes another flush", async () => {
  await Promise.all(Array.from({ length: 100_001 }, (_, i) => rejoin.lost([NODE], "a", `k:${i}`)));
  const repair = rejoin.readmit(NODE, exchange);
  await rejoin.lost([NODE], "a", "meanwhile");
  answer();
  await repair;
  expect(deleted).toStrictEqual(["old"]); // all that the server lists
  await rejoin.readmit(NODE, exchange);
  expect(deleted).toStrictEqual(["old", "old"]);
  await rejoin.readmit(NODE, exchange);
  expect(deleted).toHaveLength(2);
});
