/** A client process of the demo: started by `crew.ts`, told what to do over the channel of `fork`, gone when that channel closes. */
import { createClient } from "../client/create.ts";
import { CheckedClient } from "./checked-client.ts";
import type { Assignment, FromClient, ToClient } from "./messages.ts";
import { Traffic } from "./traffic.ts";

/** On a crowded machine a server may be without the processor for a second: that is no failure to be shown here. */
const PATIENCE = { timeoutMs: 20_000, ioTimeoutMs: 6_000, connectTimeoutMs: 6_000 };
/** Between two reports of what was done, and of what was written, to the other processes. */
const REPORT_MS = 200;
const NEWS_MS = 50;

process.on("SIGINT", () => {}); // Ctrl-C on a terminal reaches every process; the demo ends this one
process.on("disconnect", () => process.exit());

function send(message: FromClient): void {
  if (process.connected) process.send!(message, () => {}); // a parent that has just ended is what `disconnect` is for
}

function fail(error: unknown): void {
  send({ type: "failed", text: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

let onMessage: (message: ToClient) => Promise<void> = async (message) => {
  if (message.type === "load") await begin(message.assignment);
};
process.on("message", (message: ToClient) => void onMessage(message).catch(fail));

async function begin(assignment: Assignment): Promise<void> {
  const client = await createClient({ redis: assignment.redis, ...PATIENCE });
  const checked = new CheckedClient(client, assignment, (text) => send({ type: "problem", text }));
  const traffic = new Traffic(checked, assignment);
  const timers = [
    setInterval(() => send({ type: "report", report: checked.report() }), REPORT_MS),
    setInterval(() => tellNews(checked), NEWS_MS),
  ];
  onMessage = async (message) => {
    switch (message.type) {
      case "run":
        return traffic.run();
      case "sample":
        return send({ type: "sample", report: checked.report() });
      case "news":
        return checked.hear(message.news);
      case "stop":
        await traffic.stop();
        for (const timer of timers) clearInterval(timer);
        send({ type: "books", books: checked.books() });
        return client.quit();
    }
  };
  await traffic.load();
  tellNews(checked);
  send({ type: "loaded" });
}

function tellNews(checked: CheckedClient): void {
  const news = checked.takeNews();
  if (news.length > 0) send({ type: "news", news });
}
