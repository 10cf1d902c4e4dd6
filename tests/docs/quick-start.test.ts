/** The README's quick start runs as it is written, but for the servers' addresses. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LocalCluster } from "../../src/testing/index.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await LocalCluster.start({ memcached: 2 });
});
afterAll(() => cluster?.stop());

test("the quick start stores, reads and counts, at its first run and at its second", async () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const written = /^## Quick start\n+```\w+\n([\s\S]*?)^```$/m.exec(readme)![1]!;
  const program = written
    .replace("redis://127.0.0.1:6379", cluster.redis.url)
    .replace("10.0.0.1:11211", cluster.servers[0]!)
    .replace("10.0.0.2:11211", cluster.servers[1]!);
  for (const visits of [1, 2]) {
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program], { cwd: ROOT });
    expect(stdout).toBe(`{ name: 'Ada' } ${visits}\n`);
  }
});
