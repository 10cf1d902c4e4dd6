/**
 * The words in which the rest of ringshift talks to a Memcached server.
 *
 * An *exchange* is a list of commands that travel in one flush, in order, on one connection, and the fence reading that the flush ended
 * with (rule V, docs/protocol.md). Everything above this file decides by exchanges; everything below it moves bytes.
 */
/** One command: its request line, and the data block of a storage command. */
export interface Command {
  /** The request line as latin1 text, one char a byte, without its CR LF. */
  readonly line: string;
  /** The data block, without its CR LF. Its length stands in `line`. */
  readonly data?: Buffer | undefined;
  /** The data block as text, where it is ASCII; `data` is then made when it is asked for. */
  readonly text?: string | undefined;
}

/** One reply. Meta flags are parsed into fields; what a reply did not carry is undefined. */
export interface Reply {
  /**
   * First word of the reply: `HD VA EN NF NS EX MN` of the meta protocol, `STORED NOT_STORED EXISTS NOT_FOUND OK DELETED TOUCHED`
   * of the classic one, `VERSION`, or `ERROR CLIENT_ERROR SERVER_ERROR`.
   */
  readonly status: string;
  /** The value block of a `VA` reply. The Buffer is the receiver's own: it shares no memory with other replies. */
  readonly value: Buffer | undefined;
  /** The value block as UTF-8 text instead of `value`, where the exchange asked for that (`Pending.asText`). */
  readonly text?: string | undefined;
  /** f: client flags, an unsigned 32-bit number. */
  readonly flags: number | undefined;
  /** c: the CAS number, in decimal; 64 bits, so kept as text. */
  readonly cas: string | undefined;
  /** t: remaining TTL in seconds, -1 for none. */
  readonly ttl: number | undefined;
  /** s: value size in bytes. */
  readonly size: number | undefined;
  /** l: seconds since the last access. */
  readonly idle?: number | undefined;
  /** h: the item has been read since it was stored. */
  readonly hitBefore?: boolean | undefined;
  /** W: this client won the right to recache. */
  readonly won: boolean;
  /** X: the item is stale. */
  readonly stale: boolean;
  /** The rest of the line after `status` for error and VERSION replies. */
  readonly message: string;
}

/**
 * What the get of the fence item at the end of a flush showed.
 * `number` stands at planted fences; a nonce (somebody is planting) has `number` undefined; no item at all is `undefined` as a whole.
 */
export interface FenceReading {
  readonly number: number | undefined;
  readonly incarnation: string;
  /** ` u`: keys of this server may be missing in the index. */
  readonly unindexed: boolean;
  /** The item's text as it stands. */
  readonly text: string;
}

/** One TCP connection's identity. CAS tokens are used only on the connection that gave them. */
export interface ConnectionRef {
  readonly id: number;
  /** Incarnation read on this connection by the latest flush, undefined before the first. One connection reaches one server process. */
  readonly incarnation: string | undefined;
}

/** What came back for an exchange. `replies[i]` answers `commands[i]`. */
export interface Exchanged {
  readonly replies: readonly Reply[];
  /** Undefined when the server has no fence item, or the link reads none (a plain client). */
  readonly fence: FenceReading | undefined;
  readonly connection: ConnectionRef;
}
