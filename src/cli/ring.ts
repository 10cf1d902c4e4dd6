/** `ring`: the points, as the document in force makes them. */
import type { Command } from "commander";
import { ringOf } from "../protocol/view.ts";
import type { Ring } from "../ring/index.ts";
import { withAdmin } from "./connect.ts";
import { globalsOf } from "./options.ts";
import { data, json } from "./output.ts";

interface OwnedPoint {
  readonly point: number;
  readonly node: string;
}

export function registerRing(program: Command): void {
  program
    .command("ring")
    .description("list the ring's points and their nodes, in the order of the ring")
    .option("--node <name>", "only this node's points")
    .action(async ({ node }: { node?: string }, command: Command) => {
      const globals = globalsOf(command);
      const document = await withAdmin(globals, (admin) => admin.topology());
      const ring = ringOf(document, document.nodes);
      const points = node === undefined ? allPoints(ring) : ring.getPoints(node).map((point) => ({ point, node }));
      const { epoch } = document;
      if (globals.json) json({ namespace: globals.namespace, epoch, compat: ring.compat, size: ring.size, points });
      else data(points.map((owned) => `${owned.point}\t${owned.node}`));
    });
}

function allPoints(ring: Ring): OwnedPoint[] {
  return Array.from({ length: ring.size }, (_, slot) => ({
    point: ring.pointAt(slot),
    node: ring.names[ring.ownerAt(slot)]!,
  }));
}
