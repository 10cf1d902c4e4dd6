/** Row of the failure table: a coordinator stands still while another process does its work, and goes on then. */
import { expect, test } from "vitest";
import type { Change } from "../../src/migration/change.ts";
import { Coordinator } from "../../src/migration/coordinator.ts";
import { type PrepareServers, prepareServers } from "../../src/migration/prepare.ts";
import { bench } from "./support.ts";

test("a coordinator that was overtaken does not flush the server that has joined meanwhile", async () => {
  const b = await bench();
  await b.fill(400);
  const { address } = await b.cluster.addMemcached();
  const change: Change = { kind: "add-node", nodes: [{ address }] };
  const { session, store } = await b.session();
  const late: PrepareServers = async (...words) => {
    await b.admin.apply(change, { flush: true });
    return prepareServers(...words); // finds a server with keys, which it was to flush
  };
  await expect(new Coordinator(session, store!, { flush: true }, late).run(change)).rejects.toMatchObject({
    code: "MIGRATION_RUNNING",
  });
  expect(b.keysOn(address).length).toBeGreaterThan(0);
  expect(await b.wrong()).toEqual([]);
  expect(await b.admin.verify({ full: true })).toMatchObject({ clean: true, keys: 400, incomplete: [] });
});
