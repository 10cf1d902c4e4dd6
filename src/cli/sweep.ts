/** `sweep`: the index anew, with the live keys alone. */
import type { Command } from "commander";
import { withAdmin } from "./connect.ts";
import { withProgress } from "./operation.ts";
import { globalsOf } from "./options.ts";
import { count, data, json, ok } from "./output.ts";

export function registerSweep(program: Command): void {
  program
    .command("sweep")
    .description("drop index entries of expired, deleted and evicted keys")
    .action(async (_: object, command: Command) => {
      const globals = globalsOf(command);
      const report = await withAdmin(globals, (admin) => withProgress((onProgress) => admin.sweep(onProgress)));
      const { generation, entries, live, dropped, strays, seconds } = report;
      if (globals.json) json(report);
      else {
        data([
          `Entries       ${count(entries)}: ${count(live)} kept, ${count(dropped)} dropped`,
          `Strays        ${count(strays)} deleted`,
          `Time          ${seconds.toFixed(1)} s`,
        ]);
      }
      ok(`The index has generation ${generation}`);
    });
}
