/** `delete KEY`. A key that is not there is as good as deleted. */
import type { Command } from "commander";
import { withClient } from "./connect.ts";
import { globalsOf } from "./options.ts";
import { json, ok, warning } from "./output.ts";

export function registerDelete(program: Command): void {
  program
    .command("delete")
    .description("delete a value")
    .argument("<key>", "after -- when it begins with a dash")
    .action(async (key: string, _: object, command: Command) => {
      const globals = globalsOf(command);
      const deleted = await withClient(globals, (client) => client.delete(key));
      if (globals.json) json({ key, deleted });
      else if (deleted) ok(`${JSON.stringify(key)} is deleted`);
      else warning(`${JSON.stringify(key)} was not there.`);
    });
}
