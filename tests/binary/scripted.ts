/** A server in this process that cuts binary requests apart and answers them by a script. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { OPCODE, STATUS } from "../../src/binary/wire.ts";

const HEADER_BYTES = 24;

export interface BinaryRequestSeen {
  readonly opcode: number;
  readonly key: string;
  readonly extras: Buffer;
  readonly value: Buffer;
  readonly opaque: number;
  readonly cas: bigint;
}

export interface Answered {
  readonly status?: number;
  readonly extras?: Buffer;
  readonly value?: Buffer;
  readonly cas?: bigint;
}

/** A response to the request. */
export function response({ opcode, opaque }: BinaryRequestSeen, answered: Answered = {}): Buffer {
  const { status = STATUS.ok, extras = Buffer.alloc(0), value = Buffer.alloc(0), cas = 0n } = answered;
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes[0] = 0x81;
  bytes[1] = opcode;
  bytes[4] = extras.length;
  bytes.writeUInt16BE(status, 6);
  bytes.writeUInt32BE(extras.length + value.length, 8);
  bytes.writeUInt32BE(opaque, 12);
  bytes.writeBigUInt64BE(cas, 16);
  return Buffer.concat([bytes, extras, value]);
}

/** A hit with flags 0. */
export const hit = (request: BinaryRequestSeen, value: string): Buffer =>
  response(request, { extras: Buffer.alloc(4), value: Buffer.from(value), cas: 7n });

export class BinaryScripted {
  readonly requests: BinaryRequestSeen[] = [];
  connections = 0;
  /** Asked for every request but the no-op of the greeting. */
  script: (request: BinaryRequestSeen, socket: Socket) => void = (request, socket) => socket.write(response(request));
  /** Instead of an answer to the greeting. */
  greeting: ((request: BinaryRequestSeen, socket: Socket) => void) | undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(): Promise<BinaryScripted> {
    const scripted = new BinaryScripted();
    await new Promise<void>((resolve) => scripted.#server.listen(0, "127.0.0.1", resolve));
    return scripted;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    let bytes = Buffer.alloc(0);
    let greeted = false;
    this.connections++;
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= HEADER_BYTES && bytes.length >= HEADER_BYTES + bytes.readUInt32BE(8)) {
        const request = cut(bytes);
        bytes = bytes.subarray(HEADER_BYTES + bytes.readUInt32BE(8));
        if (!greeted && this.greeting !== undefined) this.greeting(request, socket);
        else if (!greeted && request.opcode === OPCODE.noop) socket.write(response(request));
        else {
          this.requests.push(request);
          this.script(request, socket);
        }
        greeted ||= request.opcode === OPCODE.noop;
      }
    });
  }
}

function cut(bytes: Buffer): BinaryRequestSeen {
  const keyAt = HEADER_BYTES + bytes[4]!;
  const valueAt = keyAt + bytes.readUInt16BE(2);
  return {
    opcode: bytes[1]!,
    extras: bytes.subarray(HEADER_BYTES, keyAt),
    key: bytes.toString("latin1", keyAt, valueAt),
    value: bytes.subarray(valueAt, HEADER_BYTES + bytes.readUInt32BE(8)),
    opaque: bytes.readUInt32BE(12),
    cas: bytes.readBigUInt64BE(16),
  };
}
