/** What has to be gone at the end, however it comes: by success, an error, or Ctrl-C in the midst of anything. */

export class Resources {
  readonly #abort = new AbortController();
  /** The ways to release what is owned, in the order of acquisition. */
  readonly #releases: (() => unknown)[] = [];
  readonly #interrupted: Promise<never>;
  #released = false;

  constructor() {
    this.#interrupted = new Promise((_, reject) => {
      this.signal.addEventListener("abort", () => reject(this.signal.reason), { once: true });
    });
    this.#interrupted.catch(() => {});
  }

  /** Aborted by `interrupt`. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Rejects at `interrupt`. */
  get interrupted(): Promise<never> {
    return this.#interrupted;
  }

  interrupt(): void {
    this.#abort.abort();
  }

  /**
   * Takes on a resource. What is acquired after the release is released at once.
   * @throws DOMException AbortError then
   */
  own<T>(resource: T, release: (resource: T) => unknown): T {
    if (this.#released) {
      void Promise.resolve(release(resource)).catch(() => {});
      this.interrupt();
      this.signal.throwIfAborted();
    }
    this.#releases.push(() => release(resource));
    return resource;
  }

  /** Releases everything, the latest first. Releasing a thing twice has to do no harm. Never rejects. */
  async release(): Promise<void> {
    this.#released = true;
    for (const release of this.#releases.splice(0).reverse()) {
      await Promise.resolve()
        .then(release)
        .catch(() => {});
    }
  }
}
