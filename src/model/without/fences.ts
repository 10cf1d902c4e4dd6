/** Rules about what a fence shows, switched off: the process reads another number than the server has. */
import type { Command, Exchanged, FenceReading } from "../../memcached/exchange.ts";
import type { Endpoint } from "../../memcached/transport.ts";
import type { TopologyDocument } from "../../topology/document.ts";
import type { SimProcess } from "../process.ts";
import type { RulesOff } from "./rules.ts";

/** What the process is told of the fence, given what it knew when it sent. */
export function fenceShown(
  off: RulesOff,
  { world }: SimProcess,
  document: TopologyDocument,
  node: Endpoint,
  commands: readonly Command[],
  { fence }: Exchanged,
): FenceReading | undefined {
  const expected = document.fences[node.name] ?? 0;
  const show = (number: number): FenceReading => ({ incarnation: "", unindexed: false, text: "", ...fence, number });
  const { phase } = document;
  if (off.has("nofence") || off.has(phase === "D" ? "nofenceD" : "nofenceS")) {
    return show(expected - (phase === "F" ? 1 : 0));
  }
  const number = fence?.number;
  if (off.has("w-queue") && commands.some(({ line }) => isWrite(line))) return fence && { ...fence, unindexed: true };
  if (off.has("nodump") && commands.length === 1 && commands[0]!.line === `mg ${world.namespace.fenceKey}`) {
    return fence && { ...fence, unindexed: false };
  }
  const { redis } = world;
  if (off.has("w-lowrun") && redis.runId !== document.runId && (number === undefined || number < expected)) {
    return show(expected);
  }
  if (number === undefined) return fence;
  const reads = commands.every(({ line }) => line.startsWith("mg "));
  if (off.has("epochonly") && phase === "S" && number > expected && reads) return show(expected);
  const raised = redis.document?.phase === "F" && number === redis.document.fences[node.name];
  if (off.has("w-inF") && raised && phase !== "D") return show(Number.NaN); // neither raised nor too low
  return fence;
}

function isWrite(line: string): boolean {
  return line.startsWith("ms ") || line.startsWith("cas ");
}
