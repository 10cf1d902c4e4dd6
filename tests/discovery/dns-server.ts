/** A DNS server for tests: A, AAAA and SRV records from a table, over UDP on a free loopback port. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

export interface Records {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly SRV?: readonly { readonly name: string; readonly port: number }[];
  /** The server fails at this kind: SERVFAIL. */
  readonly broken?: "A" | "AAAA" | "SRV";
}

const TYPES = { 1: "A", 28: "AAAA", 33: "SRV" } as const;
const [NO_ERROR, SERVFAIL, NXDOMAIN] = [0, 2, 3];

export class DnsServer {
  /** By name, in lower case; may be changed at any time. */
  readonly records = new Map<string, Records>();
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (question, { port, address }) => socket.send(this.#answer(question), port, address));
  }

  static async listen(): Promise<DnsServer> {
    const socket = createSocket("udp4");
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new DnsServer(socket);
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  close(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const question = query.subarray(12, at + 5);
    const type = TYPES[query.readUInt16BE(at + 1) as keyof typeof TYPES];
    const records = this.records.get(labels.join(".").toLowerCase());
    const data = records === undefined || records.broken === type ? [] : dataOf(records, type);
    const code = records === undefined ? NXDOMAIN : records.broken === type ? SERVFAIL : NO_ERROR;
    const head = Buffer.alloc(12);
    head.writeUInt16BE(query.readUInt16BE(0), 0);
    head.writeUInt16BE(0x8180 | code, 2); // a response, recursion done
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(data.length, 6);
    return Buffer.concat([
      head,
      question,
      ...data.map((bytes) => record(question.readUInt16BE(question.length - 4), bytes)),
    ]);
  }
}

/** The name is that of the question, by a pointer. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function dataOf({ A = [], AAAA = [], SRV = [] }: Records, type: "A" | "AAAA" | "SRV"): Buffer[] {
  if (type === "A") return A.map((address) => Buffer.from(address.split(".").map(Number)));
  if (type === "AAAA")
    return AAAA.map((address) =>
      Buffer.from(
        address
          .split(":")
          .map((part) => part.padStart(4, "0"))
          .join(""),
        "hex",
      ),
    );
  return SRV.map(({ name, port }) => {
    const head = Buffer.alloc(6);
    head.writeUInt16BE(port, 4);
    const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
    return Buffer.concat([head, ...labels, Buffer.from([0])]);
  });
}
