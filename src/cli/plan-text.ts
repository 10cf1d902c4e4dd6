/** A plan for a reader. */
import type { Plan } from "../migration/plan.ts";
import { count, percent, table } from "./output.ts";

/** @param dead names of the nodes that the change declares dead: what is on them is lost, and not moved */
export function planLines(plan: Plan, dead: readonly string[] = []): string[] {
  const { moves, keys, relisted, ringShare, idealShare, setsRead, setsTotal } = plan;
  const rows = moves.map((move) => [move.from, move.to, move.arcs, move.keys] as const);
  const lost = moves.filter(({ from }) => dead.includes(from)).reduce((sum, move) => sum + move.keys, 0);
  return [
    ...(rows.length === 0 ? ["No key changes its node."] : table(["From", "To", "Arcs", "Keys"], rows)),
    "",
    `Keys to move  ${count(keys - lost)}${relisted === 0 ? "" : `, and ${count(relisted)} stay but change their set`}`,
    ...(dead.length === 0 ? [] : [`Keys lost     ${count(lost)} of ${dead.join(", ")}`]),
    `Ring share    ${percent(ringShare)} moves; an ideal ring would move ${percent(idealShare)}`,
    `Sets read     ${count(setsRead)} of ${count(setsTotal)}`,
  ];
}
