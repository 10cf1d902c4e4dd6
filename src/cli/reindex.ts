/** `reindex NODE`: lists every key that a server holds, from the server itself. */
import type { Command } from "commander";
import { withAdmin } from "./connect.ts";
import { withProgress } from "./operation.ts";
import { globalsOf } from "./options.ts";
import { count, data, json, ok, warning } from "./output.ts";

export function registerReindex(program: Command): void {
  program
    .command("reindex")
    .description("list all keys of a node anew, after Redis was down or lost entries")
    .argument("<node>", "name of the node, as ringshift status has it")
    .action(async (node: string, _: object, command: Command) => {
      const globals = globalsOf(command);
      const report = await withAdmin(globals, (admin) => withProgress((onProgress) => admin.reindex(node, onProgress)));
      const { keys, strays } = report;
      if (globals.json) json(report);
      else
        data([`Keys listed   ${count(keys)}`, ...strays.examples.map((key) => `    deleted: ${JSON.stringify(key)}`)]);
      if (strays.count > 0) {
        warning(`${count(strays.count)} keys on ${node} were another server's, never read, and are deleted`);
      }
      ok(`The index is complete for ${node}`);
    });
}
