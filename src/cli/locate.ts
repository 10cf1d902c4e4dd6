/** `locate KEY...`: who owns a key. */
import type { Command } from "commander";
import { withClient } from "./connect.ts";
import { globalsOf } from "./options.ts";
import { data, json, table } from "./output.ts";

export function registerLocate(program: Command): void {
  program
    .command("locate")
    .description("show the node, ring point and index set of keys")
    .argument("<key...>", "after -- when one begins with a dash")
    .action(async (keys: string[], _: object, command: Command) => {
      const globals = globalsOf(command);
      const places = await withClient(globals, async (client) => keys.map((key) => client.locate(key)));
      if (globals.json) return json(places);
      const rows = places.map(({ key, node, address, point, set, movingFrom }) => {
        return [key, node, address, String(point), set ?? "", movingFrom ?? ""];
      });
      const moving = places.some((place) => place.movingFrom !== undefined);
      const head = ["Key", "Node", "Address", "Point", "Set", ...(moving ? ["Moving from"] : [])];
      data(
        table(
          head,
          rows.map((row) => row.slice(0, head.length)),
        ),
      );
    });
}
