/**
 * Bytes and packets between this process and the servers, whatever client made the sockets: `connect` is watched for bytes, and the kernel's
 * own counts per connection (TCP_INFO, by `ss -i`) are asked for packets. /proc/net/snmp would count every other process too.
 */
import { execFileSync } from "node:child_process";
import { Socket } from "node:net";

export interface Traffic {
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** TCP segments both ways, pure acknowledgements included; undefined without `ss`. */
  readonly packets: number | undefined;
}

export class SocketWatch {
  readonly #sockets = new Set<Socket>();
  readonly #ports: ReadonlySet<number>;

  /** Watches every socket of this process from here on. @param ports of the servers */
  constructor(ports: readonly number[]) {
    this.#ports = new Set(ports);
    const sockets = this.#sockets;
    const connect = Socket.prototype.connect;
    Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
      sockets.add(this);
      return (connect as (...words: unknown[]) => Socket).apply(this, args);
    } as typeof connect;
  }

  read(): Traffic {
    let [bytesOut, bytesIn] = [0, 0];
    for (const socket of this.#sockets) {
      if (!this.#ports.has(socket.remotePort ?? 0)) continue;
      bytesOut += socket.bytesWritten;
      bytesIn += socket.bytesRead;
    }
    return { bytesOut, bytesIn, packets: this.#packets() };
  }

  #packets(): number | undefined {
    if (this.#ports.size === 0) return undefined;
    const own = new Set([...this.#sockets].map((socket) => socket.localPort));
    let text: string;
    try {
      text = execFileSync("ss", ["-Htin", "state", "established"], { encoding: "utf8", maxBuffer: 1 << 28 });
    } catch {
      return undefined;
    }
    return countSegments(text, this.#ports, own);
  }
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

/**
 * Adds up `segs_out` and `segs_in` in what `ss -Htin` says: a line with the addresses, then an indented one with the counts.
 * @param local ports of our own ends; other processes may talk to the same servers
 */
export function countSegments(
  text: string,
  ports: ReadonlySet<number>,
  local: ReadonlySet<number | undefined>,
): number {
  let segments = 0;
  let ours = false;
  for (const line of text.split("\n")) {
    if (!/^\s/.test(line)) {
      const [from, to] = [...line.matchAll(/:(\d+)(?=\s|$)/g)].map((match) => Number(match[1]));
      ours = to !== undefined && ports.has(to) && local.has(from);
    }
    if (!ours) continue;
    for (const [, count] of line.matchAll(/\bsegs_(?:out|in):(\d+)/g)) segments += Number(count);
  }
  return segments;
}
