/**
 * The configuration while the gateway runs: reads the files again when they change, and turns an edit of the nodes into changes of the
 * cluster.
 *
 *   file changed ─► load ─ bad: say why, keep everything ─┐
 *                     │ good                              ▼
 *                     ├─► settings that take effect at once (spares, observer, timeouts, rates); tried until it works
 *                     ├─► settings that need a restart: say so
 *                     └─► nodes: edit ─► plan and migration, one after another, until nothing is left of it
 */
import { isDeepStrictEqual } from "node:util";
import type { Loaded } from "../config/load.ts";
import { nodeChanges } from "../config/node-changes.ts";
import type { NodeSetting } from "../config/schema.ts";
import { FileWatch } from "../config/watch.ts";
import { type ErrorCode, isRingshiftError, RingshiftError } from "../errors.ts";
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
  /** Puts the settings in effect, in the place of `before`. When it rejects, it is called again until it has worked. */
  readonly onSettings: (loaded: Loaded, before: Loaded) => Promise<void>;
}

/** What is bound or connected when the program starts. */
const NEED_RESTART = ["redis", "namespace", "data", "admin", "tls", "auth"] as const;
/** What an edit of the nodes waits for the end of. */
const WAIT_FOR: readonly string[] = ["MIGRATION_RUNNING", "REDIS_UNREACHABLE", "UNCONFIRMED"] satisfies ErrorCode[];
/** Between two tries of what could not be done, in ms. */
const RETRY_MS = 1_000;

export class Configured {
  readonly #options: ConfiguredOptions;
  #loaded: Loaded;
  /** The settings that `onSettings` has put in effect. */
  #inEffect: Loaded;
  #taking: Promise<void> = Promise.resolve();
  #takeAgain: NodeJS.Timeout | undefined;
  /** The nodes that the configuration has named last, also before it named none. */
  #named: readonly NodeSetting[] | undefined;
  /** Those of the latest edit that is over: what the next one is compared with. */
  #carried: readonly NodeSetting[] | undefined;
  #watch: FileWatch | undefined;
  #editing: Promise<void> = Promise.resolve();
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(options: ConfiguredOptions) {
    this.#options = options;
    this.#loaded = options.loaded;
    this.#inEffect = options.loaded;
    this.#named = options.loaded.nodes;
    this.#carried = options.loaded.nodes;
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
    await this.#editing;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#watch?.close();
    clearTimeout(this.#takeAgain);
    await Promise.all([this.#taking, this.#editing]);
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
    this.#named = next.nodes ?? this.#named;
    this.#wake?.(); // an edit that waits goes on with what the file says now
    this.#editing = this.#editing.then(() => this.#edit());
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

  /**
   * Carries the edit through, change by change; each time against the nodes there are by then. While another change is under way or Redis is
   * away it waits. One that cannot be done is over.
   */
  async #edit(): Promise<void> {
    const { present, log } = this.#options;
    let said: ReadonlySet<string> = new Set();
    while (this.#named !== undefined && this.#named !== this.#carried && !this.#closed) {
      const after = this.#named;
      try {
        this.#carried ??= (await present()).filter((node) => !this.#isSpare(node.name));
        const { changes, problems } = nodeChanges(this.#carried, after, await present());
        for (const problem of problems) if (!said.has(problem)) log.add("config", "error", problem);
        said = new Set([...said, ...problems]);
        const [next] = changes;
        if (next === undefined) this.#carried = after;
        else {
          await this.#applied(next, after);
          const done = (node: NodeSetting) => namesOf(next).includes(nameOf(node)); // not to be done again, and to be undone by an edit
          this.#carried = [...this.#carried.filter((node) => !done(node)), ...after.filter(done)];
        }
      } catch (error) {
        const waits = isRingshiftError(error) && WAIT_FOR.includes(error.code);
        const words = waits ? `The nodes are changed when it can be done: ${wordsOf(error)}` : wordsOf(error);
        if (!said.has(words)) log.add("config", waits ? "warn" : "error", words);
        said = new Set([...said, words]);
        if (waits) await this.#pause();
        else this.#carried = after;
      }
    }
  }

  /** @throws RingshiftError when the change still is to be done: no other gateway has done it meanwhile */
  async #applied(change: Change, after: readonly NodeSetting[]): Promise<void> {
    try {
      await this.#options.apply(change);
    } catch (error) {
      if (isRingshiftError(error) && WAIT_FOR.includes(error.code)) throw error;
      const { changes } = nodeChanges(this.#carried ?? [], after, await this.#options.present());
      if (isDeepStrictEqual(changes[0], change)) throw error;
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
      setTimeout(resolve, RETRY_MS).unref();
    });
  }
}

/** The nodes that a change of the file is about. */
function namesOf(change: Change): readonly string[] {
  if (change.kind === "add-node") return change.nodes.map(nameOf);
  if (change.kind === "remove-node") return change.names;
  return change.kind === "restore" ? [] : [change.name];
}

function wordsOf(error: unknown): string {
  return isRingshiftError(error) ? `${error.code}: ${error.message}` : String(error);
}

function nameOf({ name, address }: NodeSetting | NewNode): string {
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
