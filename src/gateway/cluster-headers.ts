/** The headers about the cluster that every answer of the data port carries. Made once per change, not once per request. */
import type { TopologyDocument } from "../topology/document.ts";

/** What the headers are made of. */
export interface ClusterSource {
  /** The document that requests are routed by. */
  document(): TopologyDocument;
  /** False for a node that is known not to answer. */
  available(index: number): boolean;
  /** Grows when `available` changes. */
  readonly healthVersion: number;
  /** Entries by node index. */
  readonly counts: ReadonlyMap<number, number>;
  /** Grows when `counts` changes. */
  readonly countsVersion: number;
}

export class ClusterHeaders {
  readonly #source: ClusterSource;
  #made = "";
  #headers: Readonly<Record<string, string>> = {};

  constructor(source: ClusterSource) {
    this.#source = source;
  }

  /** The three headers that are the same for every key. The object is shared: read only. */
  get #shared(): Readonly<Record<string, string>> {
    const { healthVersion, countsVersion } = this.#source;
    const { id, nodes } = this.#source.document();
    const made = `${id} ${healthVersion} ${countsVersion}`;
    if (made === this.#made) return this.#headers;
    const indexes = nodes.map((node) => node.index).sort((a, b) => a - b);
    const available = indexes.filter((index) => this.#source.available(index));
    this.#headers = {
      "x-cacheserver-count": String(available.length),
      "x-cacheserver-indexes": available.join(","),
      "x-ring-distribution": indexes.map((index) => `${index}:${this.#source.counts.get(index) ?? 0}`).join(","),
    };
    this.#made = made;
    return this.#headers;
  }

  /** Those and the node that served the key; of a batch its nodes; empty: none had a part in the answer. */
  for(index: number | string): Record<string, string> {
    return { "x-cacheserver-index": String(index), ...this.#shared };
  }
}
