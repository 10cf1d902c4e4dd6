/** The order of one process' own calls on a key, while the cluster changes over and over. */
import { expect, test } from "vitest";
import type { Change, Client } from "../../src/index.ts";
import { audit } from "../support/audit.ts";
import { useBench } from "../support/bench.ts";

const bench = useBench({ memcached: 4 });

/** Calls made in one go; what each resolves to, or the code of its rejection. */
function burst(client: Client, key: string, n: number): Promise<unknown[]> {
  const calls: Promise<unknown>[] = [
    client.set(key, n),
    client.get(key),
    client.incr(key, 1),
    client.get(key),
    client.set(key, `${n}`),
    client.get(key),
    client.delete(key),
    client.get(key),
    client.add(key, n),
    client.replace(key, n + 5),
    client.get(key),
  ];
  return Promise.all(calls.map((call) => call.catch((error: { code?: string }) => error.code ?? String(error))));
}

const expected = (n: number) => [true, n, n + 1, n + 1, true, `${n}`, true, undefined, true, true, n + 5];

test("calls that are not awaited run in the order they were made, in every phase", async () => {
  const cluster = bench.cluster(3);
  const client = await cluster.client();
  const admin = await cluster.admin();
  const wrong: unknown[] = [];
  let bursts = 0;
  let ambiguous = 0;
  let stop = false;
  const lane = async (key: string) => {
    for (let n = 1; !stop; n++) {
      const answers = await burst(client, key, n);
      bursts++;
      await new Promise((resolve) => setTimeout(resolve, 1)); // the coordinator is in this process too
      if (answers.includes("AMBIGUOUS_WRITE")) ambiguous++;
      else if (JSON.stringify(answers) !== JSON.stringify(expected(n))) wrong.push({ key, n, answers });
    }
  };
  const lanes = Array.from({ length: 24 }, (_, i) => lane(`k:${i}`));
  const fourth = bench.local.servers[3]!;
  const changes: readonly Change[] = [
    { kind: "add-node", nodes: [{ address: fourth }] },
    { kind: "set-vnodes", name: fourth, vnodes: 200 },
    { kind: "remove-node", names: [fourth] },
  ];
  for (let round = 0; round < 2; round++) for (const change of changes) await admin.apply(change, { rate: 300 });
  stop = true;
  await Promise.all(lanes);
  expect(wrong).toStrictEqual([]);
  expect(bursts).toBeGreaterThan(200);
  expect(ambiguous).toBeLessThan(bursts / 10);
  expect(client.metrics().pulled).toBeGreaterThan(0);
  expect((await audit(cluster)).faults).toStrictEqual([]);
});
