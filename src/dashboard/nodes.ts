/** The table of nodes, and the list of names in the form of changes. */
import type { NodeView } from "../gateway/admin/state.ts";
import { byId, element, named, percent, row, tableBody } from "./dom.ts";

export function showNodes(nodes: readonly NodeView[]): void {
  tableBody("nodes").replaceChildren(...nodes.map(nodeRow));
  const select = byId<HTMLSelectElement>("name");
  const names = nodes.filter((node) => node.role !== "leaving").map((node) => node.name);
  if ([...select.options].map((option) => option.value).join() === names.join()) return;
  const chosen = select.value;
  select.replaceChildren(
    ...names.map((name) => {
      const option = element("option", name) as HTMLOptionElement;
      option.selected = name === chosen;
      return option;
    }),
  );
}

function nodeRow(node: NodeView): HTMLElement {
  const { bytes, limitBytes, evictions, hitRatio, latencyMs, role, restarts } = node;
  const state = element("span", node.state, node.state);
  if (role !== "normal") state.append(`, ${role}`);
  if (restarts > 0) state.append(`, ${restarts} restarts`);
  const memory =
    bytes === undefined || limitBytes === undefined ? "" : `${mebibytes(bytes)} / ${mebibytes(limitBytes)} MB`;
  return row([
    node.index,
    named(node.index, node.name),
    state,
    `${node.vnodes === undefined ? `weight ${node.weight}` : `${node.vnodes} vnodes`} (${node.points})`,
    percent(node.expectedShare),
    percent(node.realShare),
    node.entries,
    memory,
    evictions ?? "",
    hitRatio === undefined ? "" : percent(hitRatio),
    latencyMs === undefined ? "" : `${latencyMs.toFixed(1)} ms`,
  ]);
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
