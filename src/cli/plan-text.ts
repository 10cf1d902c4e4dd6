/** A plan for a reader. */
import type { Plan } from "../migration/plan.ts";
import { count, percent, table } from "./output.ts";

export function planLines(plan: Plan): string[] {
  const { moves, keys, relisted, ringShare, idealShare, setsRead, setsTotal } = plan;
  const rows = moves.map((move) => [move.from, move.to, move.arcs, move.keys] as const);
  return [
    ...(rows.length === 0 ? ["No key changes its node."] : table(["From", "To", "Arcs", "Keys"], rows)),
    "",
    `Keys to move  ${count(keys)}${relisted === 0 ? "" : `, and ${count(relisted)} stay but change their set`}`,
    `Ring share    ${percent(ringShare)} moves; an ideal ring would move ${percent(idealShare)}`,
    `Sets read     ${count(setsRead)} of ${count(setsTotal)}`,
  ];
}
