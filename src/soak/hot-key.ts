/**
 * `soak hot-key`: many clients read one moving key whose puller was killed. Every read has to settle in time.
 *
 * The cluster stands in D and nobody copies. A round takes a key that is still at its old owner; a process begins to pull it and dies by
 * SIGKILL in the middle; all clients read the key then. Rounds take turns in where the puller dies:
 *
 *   add placeholder at B ─1─ read A ─2─ record, fill B ─3─ kill A
 */
import { createClient } from "../client/create.ts";
import { openAdmin } from "../migration/admin.ts";
import { LocalCluster } from "../testing/index.ts";
import { Child, opened } from "./child.ts";
import type { PullQuestion } from "./puller-child.ts";
import type { ReadAnswer, ReadQuestion } from "./reader-child.ts";
import { type Outcome, percentiles, type Soak } from "./soak.ts";

/** Reads of the key by each client in a round: the first meets what the puller left, the second what the others do. */
const TIMES = 2;
const DEATHS = 3;
/** Rounds before the figures begin: client processes have their code compiled, as those of an application that has run for a while. */
const WARM_UP_ROUNDS = 12;

export const hotKey: Soak = {
  name: "hot-key",
  about: "every read of a hot moving key settles in time although its puller was killed",
  options: { rounds: 30, processes: 8, clients: 32, "limit-ms": 300 },
  run: async (options, progress) => {
    const cluster = await LocalCluster.start({ memcached: 3 });
    const readers: Child<ReadQuestion, ReadAnswer>[] = [];
    try {
      const keys = await standInD(cluster, WARM_UP_ROUNDS + options.rounds!);
      const redis = cluster.redis.url;
      for (let i = 0; i < options.processes!; i++) readers.push(new Child("reader-child.js"));
      await Promise.all(readers.map((reader) => reader.ask({ type: "open", redis, clients: options.clients! })));
      const rounds: ReadAnswer[] = [];
      for (const [round, key] of keys.entries()) {
        await killPuller(redis, key, (round % DEATHS) + 1);
        const question = { type: "read", key, value: textOf(key), times: TIMES } as const;
        const answers = await Promise.all(readers.map((reader) => reader.ask(question)));
        const found = together(answers);
        if (round >= WARM_UP_ROUNDS) rounds.push(found);
        progress(`round ${round + 1} of ${keys.length}: ${JSON.stringify(percentiles(found.first))}`);
      }
      return judge(together(rounds), options);
    } finally {
      await Promise.all(readers.map((reader) => reader.end()));
      await cluster.stop();
    }
  },
};

/** A cluster in the middle of a change whose coordinator is gone; so many keys that have not moved yet. */
async function standInD(cluster: LocalCluster, count: number): Promise<string[]> {
  const [joining, ...servers] = cluster.servers as [string, ...string[]];
  const client = await opened(() => createClient({ redis: cluster.redis.url, servers }));
  const admin = await opened(() => openAdmin({ redis: cluster.redis.url }));
  try {
    const candidates = Array.from({ length: 20 * count + 200 }, (_, i) => `hot:${i}`);
    await client.setMulti(candidates.map((key): [string, string] => [key, textOf(key)]));
    const died = new Error("the coordinator ends here");
    const dieInD = ({ step }: { readonly step: string }) => {
      if (step === "copying") throw died;
    };
    const change = { kind: "add-node", nodes: [{ address: joining }] } as const;
    await admin.apply(change, { onProgress: dieInD }).catch((error: unknown) => {
      if (error !== died) throw error;
    });
    while (client.topology().phase !== "D") await new Promise((resolve) => setTimeout(resolve, 20));
    return candidates.filter((key) => client.locate(key).movingFrom !== undefined).slice(0, count);
  } finally {
    await admin.close();
    await client.quit();
  }
}

function textOf(key: string): string {
  return `the value of ${key}`;
}

/** Resolves when the process that was to pull the key is dead. */
async function killPuller(redis: string, key: string, exchanges: number): Promise<void> {
  const puller = new Child<PullQuestion, boolean>("puller-child.js");
  try {
    await puller.ask({ type: "open", redis });
    const lived = await puller.ask({ type: "pull", key, exchanges }).catch(() => undefined);
    if (lived !== undefined) throw new Error(`the puller of ${key} was through before it died`);
  } finally {
    await puller.end();
  }
}

function together(answers: readonly ReadAnswer[]): ReadAnswer {
  return {
    first: answers.flatMap(({ first }) => first),
    later: answers.flatMap(({ later }) => later),
    wrong: answers.flatMap(({ wrong }) => wrong),
  };
}

function judge({ first, later, wrong }: ReadAnswer, options: Readonly<Record<string, number>>): Outcome {
  const [firsts, all] = [percentiles(first), percentiles([...first, ...later])];
  const limit = options["limit-ms"]!;
  const late = [...first, ...later].filter((time) => time > limit).length;
  return {
    kept: late === 0 && wrong.length === 0,
    problems: [...(late > 0 ? [`${late} reads took longer than ${limit} ms`] : []), ...wrong],
    figures: {
      clients: options.processes! * options.clients!,
      warmUpRounds: WARM_UP_ROUNDS,
      pullersKilled: options.rounds!,
      reads: first.length + later.length,
      firstReadP50Ms: firsts.p50,
      firstReadP99Ms: firsts.p99,
      p50Ms: all.p50,
      p99Ms: all.p99,
      maxMs: all.max,
      lateReads: late,
      wrongReads: wrong.length,
    },
  };
}
