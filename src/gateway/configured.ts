/**
 * The configuration while the gateway runs: reads the files again when they change.
 *
 *   file changed ─► load ─ bad: say why, keep everything ─┐
 *                     │ good                              ▼
 *                     ├─► settings that take effect at once (spares, observer, timeouts, rates); tried until it works
 *                     ├─► settings that need a restart: say so
 *                     └─► nodes: edit ─► migrations (node-edits.ts)
 */
import { isDeepStrictEqual } from "node:util";
import type { Loaded } from "../config/load.ts";
import type { NodeSetting } from "../config/schema.ts";
import { FileWatch } from "../config/watch.ts";
import { isRingshiftError, RingshiftError } from "../errors.ts";
import type { NewNode } from "../migration/change.ts";
import type { EventLog } from "./event-log.ts";
import { type ClusterChanges, NodeEdits } from "./node-edits.ts";

export interface ConfiguredOptions extends ClusterChanges {
  readonly loaded: Loaded;
  /** Reads all sources anew. @throws RingshiftError */
  readonly reload: () => Promise<Loaded>;
  readonly log: EventLog;
  /** Puts the settings in effect, in the place of `before`. When it rejects, it is called again until it has worked. */
  readonly onSettings: (loaded: Loaded, before: Loaded) => Promise<void>;
}

/** What is bound or connected when the program starts. */
const NEED_RESTART = ["redis", "namespace", "data", "admin", "tls", "auth"] as const;
/** Between two tries of settings that could not be put in effect, in ms. */
const RETRY_MS = 1_000;

export class Configured {
  readonly #options: ConfiguredOptions;
  #loaded: Loaded;
  /** The settings that `onSettings` has put in effect. */
  #inEffect: Loaded;
  #taking: Promise<void> = Promise.resolve();
  #takeAgain: NodeJS.Timeout | undefined;
  #watch: FileWatch | undefined;
  readonly #edits: NodeEdits;
  #closed = false;

  constructor(options: ConfiguredOptions) {
    const { loaded, log } = options;
    this.#options = options;
    this.#loaded = loaded;
    this.#inEffect = loaded;
    this.#edits = new NodeEdits({ log, cluster: options, nodes: loaded.nodes, isSpare: (name) => this.#isSpare(name) });
  }

  get loaded(): Loaded {
    return this.#loaded;
  }

  /** Watches the files that the configuration was read from; without any there is nothing to do. */
  async start(): Promise<void> {
    await this.#reportDrift();
    const { files } = this.#loaded;
    if (files.length === 0) return;
    const failed = (error: unknown) => this.#options.log.add("config", "error", wordsOf(error));
    this.#watch = await FileWatch.start(files, () => this.changed(), failed);
    await this.changed(); // since they were read something may have changed that nobody watched
  }

  /** Resolves when the edits that have been read so far are carried out, or have failed. */
  async idle(): Promise<void> {
    await this.#edits.idle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const edited = this.#edits.close();
    await this.#watch?.close();
    clearTimeout(this.#takeAgain);
    await Promise.all([this.#taking, edited]);
  }

  /** The files may have changed: reads them. Resolves before the migrations that follow have ended. */
  async changed(): Promise<void> {
    const { log } = this.#options;
    const before = this.#loaded;
    let next: Loaded;
    try {
      next = await this.#read();
    } catch (error) {
      log.add("config", "error", `Nothing was changed: ${isRingshiftError(error) ? error.message : wordsOf(error)}`);
      return;
    }
    if (isDeepStrictEqual(next, before)) return;
    this.#loaded = next;
    for (const name of NEED_RESTART) {
      if (isDeepStrictEqual(next.settings[name], before.settings[name])) continue;
      log.add("config", "warn", `${name} has changed: it takes effect when the gateway is started again.`);
    }
    log.add("config", "info", "The configuration was read again.");
    await this.#take();
    this.#edits.take(next.nodes);
  }

  /** One try at a time; what it failed with is said once for every reading of the files. */
  #take(again = false): Promise<void> {
    clearTimeout(this.#takeAgain);
    this.#taking = this.#taking.then(async () => {
      const next = this.#loaded;
      if (next === this.#inEffect || this.#closed) return;
      const { log, onSettings } = this.#options;
      try {
        await onSettings(next, this.#inEffect);
        this.#inEffect = next;
        if (again) log.add("config", "info", "All settings are in effect.");
      } catch (error) {
        if (!again) log.add("config", "error", `Not all settings are in effect, more tries follow: ${wordsOf(error)}`);
        if (!this.#closed) this.#takeAgain = setTimeout(() => void this.#take(true), RETRY_MS).unref();
      }
    });
    return this.#taking;
  }

  /** Watches what it has read. @throws RingshiftError INVALID_OPTION for what is bad, gone or empty: then the files are watched that were */
  async #read(): Promise<Loaded> {
    const next = await this.#reload();
    // between reading and watching it may have changed
    return (await this.#watch?.setFiles(next.files)) ? this.#reload() : next;
  }

  /** @throws RingshiftError INVALID_OPTION, also for a file that is gone or has lost all it said: somebody is still writing it */
  async #reload(): Promise<Loaded> {
    const next = await this.#options.reload();
    const { file } = this.#loaded;
    if (file === undefined) return next;
    const says = ({ origins }: Loaded) => [...origins.values()].some((origin) => origin.startsWith(`${file}:`));
    const lost = next.file === undefined ? "gone" : says(this.#loaded) && !says(next) ? "empty" : undefined;
    if (lost === undefined) return next;
    throw new RingshiftError(
      "INVALID_OPTION",
      `${file} is ${lost}; a gateway that goes by its defaults is started anew.`,
    );
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
}

function wordsOf(error: unknown): string {
  return isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error);
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
