/** What happened lately, for the dashboard's log and the program's: nodes, changes, configuration, observer. Never a key. */

export type Level = "info" | "warn" | "error";

export interface LogEntry {
  /** Grows by one with each entry. */
  readonly id: number;
  /** ISO 8601. */
  readonly time: string;
  readonly level: Level;
  readonly source: "gateway" | "node" | "change" | "config" | "observer";
  readonly text: string;
}

/** Entries that are kept. */
const MAX_ENTRIES = 200;

export class EventLog {
  readonly #entries: LogEntry[] = [];
  readonly #listeners = new Set<(entry: LogEntry) => void>();
  #next = 1;

  /** The latest entries, oldest first. */
  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  add(source: LogEntry["source"], level: Level, text: string): void {
    const entry = { id: this.#next++, time: new Date().toISOString(), level, source, text };
    this.#entries.push(entry);
    if (this.#entries.length > MAX_ENTRIES) this.#entries.shift();
    for (const listener of this.#listeners) listener(entry);
  }

  /** Calls back with every entry from now on, until the returned function is called. */
  subscribe(listener: (entry: LogEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
