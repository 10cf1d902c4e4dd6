/**
 * Watches the configuration's files: edits, and replacements as editors (rename over it) and Kubernetes (a symbolic link to another
 * folder) do them.
 *
 *   folder event ─┐
 *                 ├─► wait QUIET_MS ─► read ─► other bytes, the same for QUIET_MS? ─► changed()
 *   every POLL_MS ┘
 *
 * It is the folder that is watched, not the file: a watch on a file stays with the inode that was replaced. Where the file system tells
 * of nothing (network mounts), the poll does. Bytes are compared, so a touch changes nothing.
 */
import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Editors write in several steps, in ms. */
const QUIET_MS = 100;
const POLL_MS = 2_000;

export class FileWatch {
  readonly #changed: () => Promise<void>;
  readonly #failed: (error: unknown) => void;
  #files: readonly string[];
  #seen = "";
  #watchers: FSWatcher[] = [];
  #quiet: NodeJS.Timeout | undefined;
  readonly #poll: NodeJS.Timeout;
  #work: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(files: readonly string[], changed: () => Promise<void>, failed: (error: unknown) => void) {
    this.#files = files;
    this.#changed = changed;
    this.#failed = failed;
    this.#poll = setInterval(() => this.#look(), POLL_MS);
    this.#poll.unref();
  }

  /**
   * @param changed called when the content of a file has changed, one call at a time
   * @param failed called when `changed` has rejected; the watch goes on
   */
  static async start(
    files: readonly string[],
    changed: () => Promise<void>,
    failed: (error: unknown) => void,
  ): Promise<FileWatch> {
    const watched = new FileWatch(files, changed, failed);
    watched.#seen = await digest(files);
    watched.#watchFolders();
    return watched;
  }

  /** From now on these files. False: they were watched already. */
  async setFiles(files: readonly string[]): Promise<boolean> {
    if (files.join("\n") === this.#files.join("\n")) return false;
    this.#files = files;
    this.#seen = await digest(files);
    this.#watchFolders();
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#quiet);
    for (const watcher of this.#watchers) watcher.close();
    await this.#work;
  }

  #watchFolders(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [...new Set(this.#files.map((file) => dirname(file)))].flatMap((folder) => {
      try {
        const watcher = watch(folder, { persistent: false }, () => {
          clearTimeout(this.#quiet);
          this.#quiet = setTimeout(() => this.#look(), QUIET_MS);
        });
        watcher.on("error", () => watcher.close()); // the poll goes on
        return [watcher];
      } catch {
        return [];
      }
    });
  }

  /** Of contents that have stood for QUIET_MS: the poll may come while somebody is writing. */
  async #settledDigest(): Promise<string> {
    for (let now = await digest(this.#files); ; ) {
      if (now === this.#seen || this.#closed) return now;
      await sleep(QUIET_MS);
      const again = await digest(this.#files);
      if (again === now) return now;
      now = again;
    }
  }

  #look(): void {
    this.#work = this.#work
      .then(async () => {
        if (this.#closed) return;
        const now = await this.#settledDigest();
        if (now === this.#seen || this.#closed) return;
        this.#seen = now;
        await this.#changed();
      })
      .catch(this.#failed);
  }
}

/** Of all contents; a file that is not there counts as such. */
async function digest(files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) {
    const content = await readFile(file).catch(() => undefined);
    hash.update(content === undefined ? "-" : `${content.length}:`).update(content ?? "");
  }
  return hash.digest("hex");
}
