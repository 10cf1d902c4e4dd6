/** The commands, put together. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { registerAddNode } from "./add-node.ts";
import { registerConfig } from "./config-show.ts";
import { registerDelete } from "./delete.ts";
import { registerDemo } from "./demo.ts";
import { registerGet } from "./get.ts";
import { registerInit } from "./init.ts";
import { registerLocate } from "./locate.ts";
import { registerMigration } from "./migration.ts";
import { addGlobalOptions } from "./options.ts";
import { registerPlan } from "./plan.ts";
import { registerReindex } from "./reindex.ts";
import { registerRemoveNode } from "./remove-node.ts";
import { registerRing } from "./ring.ts";
import { registerServe } from "./serve.ts";
import { registerSet } from "./set.ts";
import { registerSetVnodes } from "./set-vnodes.ts";
import { registerSetWeight } from "./set-weight.ts";
import { registerStatus } from "./status.ts";
import { registerSweep } from "./sweep.ts";
import { registerVerify } from "./verify.ts";

const EXIT_CODES_HELP = `
Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 incomplete (the same command
resumes), 4 unreachable, 5 unhealthy, 6 busy with another migration, 130 interrupted.`;

/** A program that throws CommanderError instead of ending the process; commands set `process.exitCode`. */
export function createProgram(): Command {
  const program = new Command("ringshift")
    .description("A sharded Memcached that grows and shrinks without losing a key.")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ outputError: () => {} }) // failure.ts prints it
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", EXIT_CODES_HELP);
  addGlobalOptions(program);
  for (const register of [
    registerInit,
    registerStatus,
    registerPlan,
    registerAddNode,
    registerRemoveNode,
    registerSetWeight,
    registerSetVnodes,
    registerMigration,
    registerVerify,
    registerReindex,
    registerSweep,
    registerLocate,
    registerRing,
    registerGet,
    registerSet,
    registerDelete,
    registerServe,
    registerConfig,
    registerDemo,
  ]) {
    register(program);
  }
  return program;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
