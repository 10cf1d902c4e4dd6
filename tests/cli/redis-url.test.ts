/** Which Redis a command is for: what is no URL, or names a database that is not there, ends with 2; what is secret in it is not shown. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisServer, startRedis } from "../../src/testing/index.ts";
import { Cli, Run } from "./support.ts";

let redis: RedisServer;
let cli: Cli;
beforeAll(async () => {
  redis = await startRedis();
  cli = new Cli(redis);
});
afterAll(() => redis.stop());

test("a database that Redis does not have is not database 0", async () => {
  for (const command of [["status"], ["init", "127.0.0.1:1"], ["get", "a"], ["serve", "--admin-port", "0"]]) {
    const { code, stderr } = await cli.run([...command, "--redis", `${redis.url}/16`]);
    expect([command, code]).toEqual([command, 2]);
    expect(stderr).toMatch(/^\[ERR\] INVALID_OPTION: Database 16 of Redis at redis:.*\/16 cannot be selected/m);
  }
});

describe.each(["redis://127.0.0.1:abc", "redis://127.0.0.1:99999", "redis://127.0.0.1/abc", "redis://127.0.0.1/1.5"])(
  "%s",
  (url) => {
    test.each([[["status"]], [["serve"]], [["config", "show"]]])("is refused by %j", async (command) => {
      const { code, stdout, stderr } = await cli.run([...command, "--redis", url]);
      expect([code, stdout.toString()]).toEqual([2, ""]);
      expect(stderr).toMatch(/^\[ERR\] INVALID_OPTION: --redis.* takes redis:\/\/.*\[\/db\]/);
    });
  },
);

describe.each([
  ["redis://ada:love:lace@127.0.0.1:1/2", "redis://***@127.0.0.1:1/2"],
  ["redis://ada:love@lace@127.0.0.1:1", "redis://***@127.0.0.1:1"],
  ["redis://127.0.0.1:1?password=lovelace", "redis://127.0.0.1:1?***"],
])("%s", (url, shown) => {
  test("is shown without its password", async () => {
    const show = await new Run(["config", "show"], { RINGSHIFT_REDIS: url }).outcome();
    const status = await new Run(["status"], { RINGSHIFT_REDIS: url, RINGSHIFT_DEBUG: "1" }).outcome();
    expect([show.code, status.code]).toEqual([0, 4]);
    for (const text of [show.stdout.toString(), status.stderr]) {
      expect(text).toContain(shown);
      expect(text).not.toMatch(/love|lace/);
    }
  });
});
