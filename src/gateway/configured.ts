/**
 * The configuration while the gateway runs: reads the files again when they change, and turns an edit of the nodes into changes of the
 * cluster.
 *
 *   file changed ─► load ─ bad: say why, keep everything ─┐
 *                     │ good                              ▼
 *                     ├─► settings that take effect at once (spares, observer, timeouts, rates)
 *                     ├─► settings that need a restart: say so
 *                     └─► nodes: edit ─► plan and migration, one after another, until nothing is left of it
 */
import type { Loaded } from "../config/load.ts";
import { nodeChanges } from "../config/node-changes.ts";
import type { NodeSetting } from "../config/schema.ts";
import { FileWatch } from "../config/watch.ts";
import { isRingshiftError } from "../errors.ts";
import type { Change, NewNode } from "../migration/change.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { EventLog } from "./event-log.ts";

export interface ConfiguredOptions {
  readonly loaded: Loaded;
  /** Reads all sources anew. @throws RingshiftError */
  readonly reload: () => Promise<Loaded>;
  readonly log: EventLog;
  /** The cluster's nodes as Redis has them. @throws RingshiftError */
  readonly present: () => Promise<readonly NodeRecord[]>;
  /** Carries one change through. @throws RingshiftError */
  readonly apply: (change: Change) => Promise<unknown>;
  /** Other settings are in effect. */
  readonly onSettings: (loaded: Loaded, before: Loaded) => Promise<void>;
}

/** What is bound or connected when the program starts. */
const NEED_RESTART = ["redis", "namespace", "data", "admin"] as const;
/** Between two tries while another process coordinates a change, in ms. */
const BUSY_MS = 1_000;
const MAX_BUSY_TRIES = 3_600;

export class Configured {
  readonly #options: ConfiguredOptions;
  #loaded: Loaded;
  #watch: FileWatch | undefined;
  #editing: Promise<void> = Promise.resolve();
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(options: ConfiguredOptions) {
    this.#options = options;
    this.#loaded = options.loaded;
  }

  get loaded(): Loaded {
    return this.#loaded;
  }

  /** Watches the files that the configuration was read from; without any there is nothing to do. */
  async start(): Promise<void> {
    await this.#reportDrift();
    const { files } = this.#loaded;
    if (files.length > 0) this.#watch = await FileWatch.start(files, () => this.changed());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#watch?.close();
    await this.#editing;
  }

  /** The files may have changed: reads them. Resolves before the migrations that follow have ended. */
  async changed(): Promise<void> {
    const { log, reload, onSettings } = this.#options;
    let next: Loaded;
    try {
      next = await reload();
    } catch (error) {
      if (!isRingshiftError(error)) throw error;
      log.add("config", "error", `Nothing was changed: ${error.message}`);
      return;
    }
    const before = this.#loaded;
    this.#loaded = next;
    await this.#watch?.setFiles(next.files);
    for (const name of NEED_RESTART) {
      if (JSON.stringify(next.settings[name]) === JSON.stringify(before.settings[name])) continue;
      log.add("config", "warn", `${name} has changed: it takes effect when the gateway is started again.`);
    }
    await onSettings(next, before);
    log.add("config", "info", "The configuration was read again.");
    this.#editing = this.#editing
      .then(() => this.#edit(before.nodes, next.nodes))
      .catch((error: unknown) => {
        log.add("config", "error", isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error));
      });
  }

  /** Carries the edit through, change by change; each time against the nodes there are by then. */
  async #edit(before: readonly NodeSetting[] | undefined, after: readonly NodeSetting[] | undefined): Promise<void> {
    if (after === undefined) return;
    const { present, apply, log } = this.#options;
    const was = before ?? (await present()).filter((node) => !this.#isSpare(node.name));
    for (let tries = 0; tries < MAX_BUSY_TRIES && !this.#closed; tries++) {
      const { changes, problems } = nodeChanges(was, after, await present());
      if (tries === 0) for (const problem of problems) log.add("config", "error", problem);
      const [next] = changes;
      if (next === undefined) return;
      try {
        await apply(next);
      } catch (error) {
        if (!isRingshiftError(error, "MIGRATION_RUNNING")) throw error;
        await this.#pause();
      }
    }
  }

  /** At the start the cluster counts: others may have changed it meanwhile. */
  async #reportDrift(): Promise<void> {
    const { nodes } = this.#loaded;
    if (nodes === undefined) return;
    const present = await this.#options.present();
    const own = new Set(nodes.map(nameOf));
    const more = present.filter((node) => !own.has(node.name) && !this.#isSpare(node.name)).map((node) => node.name);
    const less = [...own].filter((name) => !present.some((node) => node.name === name));
    if (more.length + less.length === 0) return;
    const differ = [
      more.length > 0 && `it also has ${more.join(", ")}`,
      less.length > 0 && `it lacks ${less.join(", ")}`,
    ];
    const text = differ.filter(Boolean).join("; ");
    this.#options.log.add(
      "config",
      "warn",
      `The cluster is not what the file says: ${text}. An edit of the file changes it.`,
    );
  }

  #isSpare(name: string): boolean {
    return this.#loaded.settings.spares.some((spare) => nameOf(spare) === name);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, BUSY_MS).unref();
    });
  }
}

function nameOf({ name, address }: NodeSetting): string {
  return name ?? address;
}

/** A server of the configuration as a change takes it. */
export function toNewNode({ address, name, weight, vnodes }: NodeSetting): NewNode {
  return {
    address,
    ...(name === undefined ? {} : { name }),
    ...(weight === undefined ? {} : { weight }),
    ...(vnodes === undefined ? {} : { vnodes }),
  };
}
