/** The key locator, and the form that plans and makes changes. */
import type { Location } from "../client/client.ts";
import type { Change } from "../migration/change.ts";
import type { Plan } from "../migration/plan.ts";
import { get, send } from "./api.ts";
import { byId, element, percent, row, wordsOf } from "./dom.ts";
import { markPoint } from "./ring.ts";

/** The changes that the form makes. */
type FormChange = Extract<Change, { kind: "add-node" | "remove-node" | "set-weight" | "set-vnodes" }>;

export function listenForms(): void {
  byId("locate-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void answer("locate-result", locate);
  });
  byId("change-form").addEventListener("submit", (event) => {
    event.preventDefault();
    void answer("change-result", plan);
  });
  byId("apply").addEventListener("click", () => void answer("change-result", apply));
  byId("kind").addEventListener("change", showFields);
  byId("token-form").addEventListener("submit", (event) => event.preventDefault());
  showFields();
}

/** Shows what the work answers, or why it was refused. */
async function answer(id: string, work: () => Promise<readonly Node[]>): Promise<void> {
  const target = byId(id);
  target.replaceChildren(element("p", "...", "note"));
  try {
    target.replaceChildren(...(await work()));
  } catch (error) {
    target.replaceChildren(element("p", wordsOf(error), "error"));
  }
}

async function locate(): Promise<Node[]> {
  const key = byId<HTMLInputElement>("key").value;
  const { keys } = await get<{ keys: Location[] }>(`/api/locate?key=${encodeURIComponent(key)}`);
  const [place] = keys;
  if (place === undefined) return [];
  markPoint(place.point);
  const { node, address, index, point, set, movingFrom } = place;
  const facts: [string, string][] = [
    ["Node", `${node} (index ${index}, ${address})`],
    ["Point", String(point)],
    ["Set", set ?? ""],
  ];
  if (movingFrom !== undefined) facts.push(["Moving from", movingFrom]);
  const table = element("table");
  table.append(...facts.map(([name, value]) => row([name, value])));
  return [table];
}

async function plan(): Promise<Node[]> {
  const planned = await send<Plan & { command: string }>("POST", "/api/plan", changeOf());
  const { keys, ringShare, idealShare, setsRead, setsTotal, moves } = planned;
  const text = `${planned.command}: ${keys.toLocaleString("en-US")} keys move, ${percent(ringShare)} of the ring (ideal ${percent(idealShare)}); ${setsRead} of ${setsTotal} sets are read.`;
  const table = element("table");
  table.append(...moves.map((move) => row([move.from, "→", move.to, move.keys])));
  return [element("p", text), table];
}

async function apply(): Promise<Node[]> {
  const change = changeOf();
  const { command } = await begin(change);
  return [element("p", `${command}: begun.`)];
}

function begin(change: FormChange): Promise<{ command: string }> {
  switch (change.kind) {
    case "add-node":
      return send("POST", "/api/nodes", { nodes: change.nodes });
    case "remove-node":
      return send("DELETE", `/api/nodes/${encodeURIComponent(change.names[0]!)}${change.dead ? "?dead=true" : ""}`);
    case "set-weight":
      return send("PATCH", `/api/nodes/${encodeURIComponent(change.name)}`, { weight: change.weight });
    case "set-vnodes":
      return send("PATCH", `/api/nodes/${encodeURIComponent(change.name)}`, { vnodes: change.vnodes });
  }
}

function changeOf(): FormChange {
  const kind = byId<HTMLSelectElement>("kind").value as FormChange["kind"];
  const name = byId<HTMLSelectElement>("name").value;
  const number = byId<HTMLInputElement>("number").valueAsNumber;
  switch (kind) {
    case "add-node":
      return { kind, nodes: [{ address: byId<HTMLInputElement>("address").value.trim() }] };
    case "remove-node":
      return { kind, names: [name], dead: byId<HTMLInputElement>("dead").checked };
    case "set-weight":
      return { kind, name, weight: number };
    case "set-vnodes":
      return { kind, name, vnodes: number };
  }
}

function showFields(): void {
  const kind = byId<HTMLSelectElement>("kind").value;
  byId("address-field").hidden = kind !== "add-node";
  byId("name-field").hidden = kind === "add-node";
  byId("dead-field").hidden = kind !== "remove-node";
  byId("number-field").hidden = kind === "add-node" || kind === "remove-node";
  byId("number-label").textContent = kind === "set-vnodes" ? "Vnodes" : "Weight";
}
