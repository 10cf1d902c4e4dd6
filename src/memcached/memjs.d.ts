/** What of memjs is used; it carries no types. */
declare module "memjs" {
  import type { Socket } from "node:net";

  interface Logger {
    log(...words: unknown[]): void;
  }
  class Client {
    static create(servers: string, options?: { readonly logger?: Logger; readonly [name: string]: unknown }): Client;
    get(key: string): Promise<{ readonly value: Buffer | null; readonly flags: Buffer | null }>;
    set(key: string, value: string | Buffer, options: { readonly expires?: number }): Promise<boolean>;
    quit(): void;
  }

  interface BinaryResponse {
    readonly header: {
      readonly magic: number;
      readonly opcode: number;
      readonly status: number;
      readonly totalBodyLength: number;
      readonly opaque: number;
      /** 8 bytes. */
      readonly cas: Buffer;
    };
    readonly key: Buffer;
    readonly extras: Buffer;
    readonly val: Buffer;
  }
  interface ResponseCallback {
    (response: BinaryResponse): void;
    /** More responses follow under the same number, until one with an empty body. */
    quiet?: boolean;
  }
  /** One server, one connection at a time. */
  class Server {
    /** @param port a number, or the path of a unix socket */
    constructor(
      host: string,
      port: number | string,
      username: string | undefined,
      password: string | undefined,
      options: {
        /** Seconds. */
        readonly timeout: number;
        readonly conntimeout: number;
        readonly keepAlive: boolean;
        readonly keepAliveDelay: number;
      },
    );
    username: string | undefined;
    password: string | undefined;
    _socket: Socket | undefined;
    /** Connects where needed, authenticates, and calls back with a socket that takes requests. */
    sock(sasl: boolean, go: (socket: Socket) => void): void;
    write(blob: Buffer): void;
    onResponse(opaque: number, callback: ResponseCallback): void;
    onError(name: number | string, callback: (error: unknown) => void): void;
    /** Destroys the connection, forgets all callbacks, and tells those for errors. */
    error(error: unknown): void;
    close(): void;
  }
  const Utils: {
    makeRequestBuffer(opcode: number, key: Buffer, extras: Buffer, value: Buffer, opaque: number): Buffer;
  };
}
