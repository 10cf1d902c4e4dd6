/**
 * Edits of the configuration's nodes, carried through in the cluster.
 *
 *   edit ─► what is left of it? ─ nothing: over
 *             ▲        │ its first change
 *             │        ▼
 *             ├─ done ─ apply ─ refused, or taken back: said, the edit is over
 *             │           │
 *             │           ├─ not begun (another change, Redis is away): wait ─► what is left of it?
 *             └───────────┴─ stopped half way: wait ─► apply
 */
import { isDeepStrictEqual } from "node:util";
import { nodeChanges } from "../config/node-changes.ts";
import type { NodeSetting } from "../config/schema.ts";
import { type ErrorCode, isRingshiftError, RingshiftError } from "../errors.ts";
import { type Change, commandText } from "../migration/change.ts";
import type { UnderWay } from "../migration/under-way.ts";
import type { NodeRecord } from "../topology/document.ts";
import type { EventLog } from "./event-log.ts";

/** The cluster as an edit sees and changes it. */
export interface ClusterChanges {
  /** The cluster's nodes as Redis has them. @throws RingshiftError */
  readonly present: () => Promise<readonly NodeRecord[]>;
  /** The change under way. @throws RingshiftError */
  readonly underWay: () => Promise<UnderWay | undefined>;
  /**
   * Carries one change through, or carries on with it where it stands.
   * @param again what it failed with last is known: neither its begin nor its failure is to be logged
   * @throws RingshiftError
   */
  readonly apply: (change: Change, again: boolean) => Promise<unknown>;
}

export interface NodeEditsOptions {
  readonly cluster: ClusterChanges;
  readonly log: EventLog;
  /** What the configuration named at the start: the first edit is compared with it. */
  readonly nodes: readonly NodeSetting[] | undefined;
  /** The observer's, which no edit is about. */
  readonly isSpare: (name: string) => boolean;
}

/** What a change that has not begun waits for the end of. */
const WAIT_FOR: readonly string[] = ["MIGRATION_RUNNING", "REDIS_UNREACHABLE", "UNCONFIRMED"] satisfies ErrorCode[];
/** Between two tries, in ms. */
const RETRY_MS = 1_000;
/** The same for a change that has stopped half way: its pauses double up to this. */
const MAX_RETRY_MS = 30_000;

export class NodeEdits {
  readonly #options: NodeEditsOptions;
  /** The nodes that the configuration has named last, also before it named none. */
  #named: readonly NodeSetting[] | undefined;
  /** Those of the latest edit that is over: what the next one is compared with. */
  #carried: readonly NodeSetting[] | undefined;
  #editing: Promise<void> = Promise.resolve();
  /** What the edit has said already. */
  readonly #said = new Set<string>();
  /** The command that the edit has tried last, in vain. */
  #tried: string | undefined;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(options: NodeEditsOptions) {
    this.#options = options;
    this.#named = options.nodes;
    this.#carried = options.nodes;
  }

  /** The configuration was read again. @param nodes what it names; undefined: it does not say */
  take(nodes: readonly NodeSetting[] | undefined): void {
    this.#named = nodes ?? this.#named;
    this.#wake?.(); // an edit that waits goes on with what the file says now
    this.#editing = this.#editing.then(() => this.#edit());
  }

  /** Resolves when what was taken so far is carried out, or has failed. */
  async idle(): Promise<void> {
    await this.#editing;
  }

  /** Resolves when the change that is under way here has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    await this.#editing;
  }

  /**
   * Carries the edit through, change by change; each time against the nodes there are by then. While another change is under way or Redis is
   * away it waits. One that cannot be done is over.
   */
  async #edit(): Promise<void> {
    const { present } = this.#options.cluster;
    this.#said.clear();
    this.#tried = undefined;
    while (this.#named !== undefined && this.#named !== this.#carried && !this.#closed) {
      const after = this.#named;
      try {
        this.#carried ??= (await present()).filter((node) => !this.#options.isSpare(node.name));
        const { changes, problems } = nodeChanges(this.#carried, after, await present());
        for (const problem of problems) this.#say("error", problem);
        const [next] = changes;
        if (next === undefined) this.#carried = after;
        else {
          await this.#applied(next, after);
          const done = (node: NodeSetting) => namesOf(next).includes(nameOf(node)); // not to be done again, and to be undone by an edit
          this.#carried = [...this.#carried.filter((node) => !done(node)), ...after.filter(done)];
        }
      } catch (error) {
        if (isToWaitFor(error)) await this.#wait(error);
        else {
          this.#say("error", wordsOf(error));
          this.#carried = after;
        }
      }
    }
  }

  /**
   * Resolves when the change is done, by this process or by another. One that has stopped half way is carried on, whatever the file says by
   * then: nothing else can be changed before it has ended.
   * @throws RingshiftError when the change still is to be done, or is taken back
   */
  async #applied(change: Change, after: readonly NodeSetting[]): Promise<void> {
    const command = commandText(change);
    await this.#requireNoOther(command);
    let failed: unknown;
    let stood = false;
    for (let pauseMs = RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, MAX_RETRY_MS)) {
      try {
        await this.#options.cluster.apply(change, this.#tried === command);
        this.#tried = undefined;
        return;
      } catch (error) {
        failed = error;
        this.#tried = command;
      }
      if (!(await this.#stands(command, failed))) break;
      stood = true;
      await this.#wait(failed, pauseMs);
      if (!(await this.#stands(command, failed))) break; // somebody else has ended it meanwhile
    }
    if (this.#closed) return; // it is carried on by whoever asks for it
    if (isToWaitFor(failed) && !stood) throw failed;
    const { changes } = nodeChanges(this.#carried ?? [], after, await this.#options.cluster.present());
    if (!isDeepStrictEqual(changes[0], change)) return;
    throw stood ? takenBack(command) : failed;
  }

  /**
   * While another change stands, not even the lease is asked for: whoever is to carry that change on would take its holder for somebody who
   * does. @throws RingshiftError MIGRATION_RUNNING
   */
  async #requireNoOther(command: string): Promise<void> {
    const standing = await this.#options.cluster.underWay();
    if (standing === undefined || standing.command === command) return;
    if (standing.state !== "fencing" && standing.state !== "copying") return;
    throw new RingshiftError("MIGRATION_RUNNING", `"${standing.command}" is under way: see /api/migration.`);
  }

  /**
   * True for a change that has begun and not ended. While Redis is away nobody knows, so this waits for it.
   * @param failed why it is asked
   * @throws RingshiftError when it is being taken back
   */
  async #stands(command: string, failed: unknown): Promise<boolean> {
    while (!this.#closed) {
      try {
        const standing = await this.#options.cluster.underWay();
        if (standing?.command !== command || standing.state === "settling") return false;
        if (standing.aborting) throw takenBack(command);
        return true;
      } catch (error) {
        if (!isRingshiftError(error, "REDIS_UNREACHABLE")) throw error;
        await this.#wait(failed);
      }
    }
    return false;
  }

  /** Says why, and lets some time pass; less when the file is read again, none when the gateway stops. */
  async #wait(error: unknown, ms = RETRY_MS): Promise<void> {
    this.#say("warn", `The nodes are changed when it can be done: ${wordsOf(error)}`);
    if (!this.#closed) await this.#pause(ms);
  }

  /** Once an edit, however often it is tried. */
  #say(level: "warn" | "error", text: string): void {
    if (!this.#said.has(text)) this.#options.log.add("config", level, text);
    this.#said.add(text);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, ms).unref();
    });
  }
}

function isToWaitFor(error: unknown): boolean {
  return isRingshiftError(error) && WAIT_FOR.includes(error.code);
}

function takenBack(command: string): RingshiftError {
  return new RingshiftError("MIGRATION_STOPPED", `"${command}" is taken back: the edit of the nodes ends here.`);
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

function nameOf({ name, address }: Pick<NodeSetting, "name" | "address">): string {
  return name ?? address;
}
