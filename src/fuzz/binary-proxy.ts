/**
 * A proxy before a real memcached that disturbs responses of the binary protocol: what the scripted server does for the meta protocol.
 *
 *     client ──── requests, as they are ────► memcached
 *     client ◄─ responses, cut apart, now and then with a fault ─ memcached
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

const HEADER_BYTES = 24;
const BODY_LENGTH_AT = 8;

/** What to do with a response. Undefined: it is passed on. */
export type Disturb = (response: Buffer, client: Socket) => "done" | "stop" | undefined;

export class BinaryProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  readonly #disturb: Disturb;

  private constructor(target: number, disturb: Disturb) {
    this.#target = target;
    this.#disturb = disturb;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Before the server on a loopback port. */
  static async listen(target: number, disturb: Disturb): Promise<BinaryProxy> {
    const proxy = new BinaryProxy(target, disturb);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    const server = connect(this.#target, "127.0.0.1");
    let bytes = Buffer.alloc(0);
    let stopped = false;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.on("data", (chunk: Buffer) => server.write(chunk));
    server.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (!stopped && bytes.length >= HEADER_BYTES) {
        const end = HEADER_BYTES + bytes.readUInt32BE(BODY_LENGTH_AT);
        if (bytes.length < end) return;
        const response = bytes.subarray(0, end);
        bytes = bytes.subarray(end);
        const done = this.#disturb(response, client);
        if (done === undefined) client.write(response);
        stopped = done === "stop";
      }
    });
  }
}
