/** The dashboard: the admin port's events, shown. The server sends at most two states a second. */
import type { StateView } from "../gateway/admin/state.ts";
import type { LogEntry } from "../gateway/event-log.ts";
import { forgetCharts, resizeCharts, showCharts } from "./charts.ts";
import { byId, element } from "./dom.ts";
import { listenForms } from "./forms.ts";
import { listenMigration, showMigration } from "./migration.ts";
import { showNodes } from "./nodes.ts";
import { showRing } from "./ring.ts";

const MAX_EVENTS = 200;
let lastEvent = 0;

function showState(state: StateView): void {
  const { namespace, epoch, phase, settling, confirmed, nodes, traffic } = state;
  const up = nodes.filter((node) => node.state !== "down").length;
  const phases = { S: settling ? "settling" : "stable", F: "fencing", D: "keys are moving" };
  const doubt = confirmed ? "" : ", topology unconfirmed";
  byId("summary").textContent =
    `${namespace}: ${up} of ${nodes.length} nodes up, epoch ${epoch}, ${phases[phase]}${doubt}, ${traffic.requests.toLocaleString("en-US")} requests`;
  showNodes(nodes);
  showMigration(state.migration);
  showCharts(state);
  void showRing(epoch, phase);
}

/** The newest on top. After a reconnection the server sends the old ones again. */
function showEvent(entry: LogEntry): void {
  if (entry.id <= lastEvent) return;
  lastEvent = entry.id;
  const item = element("li", "", entry.level);
  const time = element("time", entry.time.slice(11, 19));
  time.setAttribute("datetime", entry.time);
  item.append(time, `${entry.source}: ${entry.text}`);
  const list = byId("events");
  list.prepend(item);
  while (list.childElementCount > MAX_EVENTS) list.lastElementChild?.remove();
}

function connect(): void {
  const events = new EventSource("/events");
  const status = (text: string) => {
    const target = byId("connection");
    if (target.textContent !== text) target.textContent = text;
  };
  events.addEventListener("open", () => status("Live"));
  events.addEventListener("error", () => {
    status("Connection lost, trying again");
    lastEvent = 0;
    byId("events").replaceChildren();
  });
  events.addEventListener("state", (event) => showState(JSON.parse(event.data) as StateView));
  events.addEventListener("log", (event) => showEvent(JSON.parse(event.data) as LogEntry));
}

listenForms();
listenMigration();
addEventListener("resize", resizeCharts);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forgetCharts);
connect();
