/**
 * One process of real traffic on a cluster, with a check of every answer. Runs the compiled package: Node 20 cannot run the source.
 *
 * Every key has one writer, so what an answer has to be is known:
 *
 *   v:<worker>:<i>   set, replace and cas by their worker, with a version that only grows; deleted and added again where i % 4 is 0
 *   c:<i>            counters: every worker increments them
 *
 * The writer expects exactly its last write; another process' reader expects versions that never go back. A write whose effect is
 * unknown takes its key out of the game (`ambiguous`), any other rejection is a failure.
 *
 * Messages: in { redis, namespace, servers, worker, workers, keys, counters }, then "stop"; out "running" after the first write of all
 * keys, then the Report (see traffic.ts).
 */
import { createClient } from "../../dist/index.js";

const LANES = 12;

process.once("message", (task) => {
  run(task).catch((error) => {
    process.send({ crash: error.stack });
    process.exitCode = 1;
    process.disconnect();
  });
});
process.on("disconnect", () => process.exit());

async function run({ redis, namespace, servers, worker, workers, keys, counters }) {
  const client = await createClient({ redis, namespace, servers });
  const report = {
    operations: 0,
    failed: [],
    stale: [],
    lost: [],
    ambiguous: 0,
    increments: [],
    finals: [],
    metrics: {},
  };
  const game = new Game(client, report, { worker, workers, keys, counters });
  await game.begin();
  process.send("running");
  let stopped = false;
  process.on("message", (message) => {
    stopped ||= message === "stop";
  });
  const lane = async (offset) => {
    for (let turn = offset; !stopped; turn += LANES) await game.turn(turn);
  };
  await Promise.all(Array.from({ length: LANES }, (_, offset) => lane(offset)));
  report.finals = game.finals();
  report.increments = game.increments;
  report.metrics = client.metrics();
  await client.quit();
  process.send(report, () => process.disconnect());
}

class Game {
  /** Own keys: the version that stands, undefined for none. Missing: out of the game. */
  own = new Map();
  /** Others' keys: the newest version seen. */
  seen = new Map();
  /** The newest version this worker has given to any key. */
  newest = 1;
  /** Per counter: acknowledged increments, and the highest value seen. */
  increments;
  counted;
  /** Keys that a lane of this process works on. */
  busy = new Set();

  constructor(client, report, size) {
    this.client = client;
    this.report = report;
    Object.assign(this, size);
    this.increments = Array.from({ length: size.counters }, () => 0);
    this.counted = Array.from({ length: size.counters }, () => 0);
  }

  async begin() {
    for (let i = 0; i < this.keys; i++) this.own.set(nameOf(this.worker, i), 1);
    await this.client.setMulti(Array.from(this.own, ([key]) => [key, { key, version: 1 }]));
    for (let i = 0; i < this.counters; i++) await this.client.add(`c:${i}`, 0);
  }

  async turn(turn) {
    const i = (turn * 7919) % this.keys;
    switch (turn % 8) {
      case 0:
      case 1:
        return this.write(i, turn);
      case 2:
      case 3:
        return this.readOwn(i);
      case 4:
      case 5:
        return this.readOther(i, turn);
      case 6:
        return this.readMany(i);
      default:
        return this.count(turn % this.counters);
    }
  }

  async write(i, turn) {
    const key = nameOf(this.worker, i);
    await this.alone(key, async (version) => {
      const next = ++this.newest;
      const value = { key, version: next };
      if (version === undefined) return this.mutate(key, next, () => this.client.add(key, value), true);
      if (i % 4 === 0 && turn % 3 === 0) return this.mutate(key, undefined, () => this.client.delete(key), true);
      switch (turn % 5) {
        case 0:
          return this.mutate(key, next, () => this.client.replace(key, value), true);
        case 1:
          return this.mutate(key, next, () => this.cas(key, value, version), undefined);
        case 2:
          return this.mutate(key, version, () => this.client.touch(key, 3_000), true);
        default:
          return this.mutate(key, next, () => this.client.set(key, value, { ttl: turn % 2 ? 5_000 : 0 }), true);
      }
    });
  }

  /** True when stored. False, after a move between the two, leaves the version that was there. */
  async cas(key, value, version) {
    const found = await this.client.gets(key);
    this.expectVersion(key, found?.value, version, "gets");
    return found !== undefined && this.client.cas(key, value, found.cas);
  }

  async mutate(key, next, command, expected) {
    const answer = await this.attempt(key, command);
    if (answer === FAILED) return;
    if (expected !== undefined && answer !== expected) {
      this.report.stale.push(`${key}: a write that had to apply was answered ${answer}`);
    }
    if (answer === true) this.own.set(key, next);
  }

  async readOwn(i) {
    const key = nameOf(this.worker, i);
    await this.alone(key, async (version) => {
      const value = await this.attempt(key, () => this.client.get(key));
      if (value !== FAILED) this.expectVersion(key, value, version, "get");
    });
  }

  expectVersion(key, value, version, how) {
    if (value?.version === version) return;
    const list = value === undefined ? this.report.lost : this.report.stale;
    list.push(`${key}: ${how} answered ${value?.version}, the last write was ${version}`);
  }

  async readOther(i, turn) {
    const writer = turn % this.workers;
    if (writer === this.worker) return;
    const key = nameOf(writer, i);
    await this.alone(
      key,
      async () => {
        this.judgeOther(key, i, await this.attempt(key, () => this.client.get(key)));
      },
      true,
    );
  }

  async readMany(i) {
    const wanted = Array.from({ length: 8 }, (_, j) => (i + j) % this.keys);
    const writer = (this.worker + 1) % this.workers;
    const keys = wanted.map((one) => nameOf(writer, one)).filter((key) => !this.busy.has(key));
    if (writer === this.worker || keys.length < wanted.length) return;
    for (const key of keys) this.busy.add(key);
    const found = await this.attempt(keys[0], () => this.client.getMulti(keys));
    for (const [j, key] of keys.entries()) {
      this.busy.delete(key);
      if (found !== FAILED) this.judgeOther(key, wanted[j], found.get(key));
    }
  }

  judgeOther(key, i, value) {
    if (value === FAILED) return;
    const newest = this.seen.get(key) ?? 0;
    if (value === undefined) {
      if (newest > 0 && i % 4 !== 0) this.report.lost.push(`${key}: not there, had version ${newest}`);
      return;
    }
    if (value.key !== key || value.version < newest) {
      this.report.stale.push(`${key}: version ${value.version} of ${value.key} after ${newest}`);
    }
    this.seen.set(key, Math.max(newest, value.version));
  }

  async count(i) {
    const key = `c:${i}`;
    const before = this.counted[i];
    const value = await this.attempt(key, () => this.client.incr(key));
    if (value === FAILED) return;
    if (value === undefined) this.report.lost.push(`${key}: the counter is gone`);
    else if (value <= before) this.report.stale.push(`${key}: ${value} after ${before}`);
    else this.counted[i] = Math.max(this.counted[i], value);
    this.increments[i]++;
  }

  /** Works on a key while no other lane of this process does; keys out of the game are left alone. */
  async alone(key, work, foreign = false) {
    if (this.busy.has(key) || !(foreign || this.own.has(key))) return;
    this.busy.add(key);
    try {
      await work(this.own.get(key));
    } finally {
      this.busy.delete(key);
    }
  }

  async attempt(key, command) {
    this.report.operations++;
    try {
      return await command();
    } catch (error) {
      this.own.delete(key);
      if (error.code === "AMBIGUOUS_WRITE") this.report.ambiguous++;
      else this.report.failed.push(`${key}: ${error.code ?? error.stack} ${error.message}`);
      return FAILED;
    }
  }

  finals() {
    return [...this.own].map(([key, version]) => [key, version ?? null]);
  }
}

const FAILED = Symbol("failed");

function nameOf(worker, i) {
  return i % 10 === 3 ? `v:${worker}:ключ:${i}` : `v:${worker}:${i}`;
}
