/**
 * What a memcached with SASL (-S) needs around it: a configuration, and somebody who knows the passwords. Debian's memcached reads no
 * password file of its own, so this process is its saslauthd:
 *
 *     memcached -S ─ libsasl2, PLAIN ─► unix socket in a temporary folder ─► this process: does the password fit?
 *
 * The service's protocol is four counted strings (user, password, service, realm) and one back that begins with OK or NO.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireSaslPlain } from "./binaries.ts";

const MAX_REQUEST_BYTES = 4_096;
const STRINGS = 4;

/** Usernames and passwords for servers that are started with `env` and `-S`. They do not keep the program running. */
export class SaslAccounts {
  /** For `startMemcached({ args: ["-S"], env })`. */
  readonly env: Readonly<Record<string, string>>;
  readonly #server: Server;
  readonly #folder: string;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, folder: string) {
    this.#server = server;
    this.#folder = folder;
    this.env = { SASL_CONF_PATH: folder };
  }

  /** @throws Error that names what to install where libsasl2 has no PLAIN */
  static async open(passwords: Readonly<Record<string, string>>): Promise<SaslAccounts> {
    requireSaslPlain();
    const folder = mkdtempSync(join(tmpdir(), "ringshift-sasl-"));
    const path = join(folder, "mux");
    const configuration = ["mech_list: plain", "pwcheck_method: saslauthd", `saslauthd_path: ${path}`];
    writeFileSync(join(folder, "memcached.conf"), `${configuration.join("\n")}\n`);
    const server = createServer({ allowHalfOpen: true });
    const accounts = new SaslAccounts(server, folder);
    server.on("connection", (socket) => accounts.#accept(socket, new Map(Object.entries(passwords))));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
    server.unref();
    chmodSync(path, 0o777); // memcached may run as another user
    chmodSync(folder, 0o755);
    return accounts;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #accept(socket: Socket, passwords: ReadonlyMap<string, string>): void {
    let request = Buffer.alloc(0);
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      request = Buffer.concat([request, chunk]);
      const words = countedStrings(request);
      if (words === undefined && request.length <= MAX_REQUEST_BYTES) return;
      const [user = "", password] = words ?? [];
      const answer = Buffer.from(password !== undefined && passwords.get(user) === password ? "xxOK" : "xxNO");
      answer.writeUInt16BE(answer.length - 2, 0);
      socket.end(answer);
    });
  }
}

/** Undefined while some of it is missing. */
function countedStrings(bytes: Buffer): string[] | undefined {
  const words: string[] = [];
  for (let at = 0; words.length < STRINGS; ) {
    if (bytes.length < at + 2) return undefined;
    const end = at + 2 + bytes.readUInt16BE(at);
    if (bytes.length < end) return undefined;
    words.push(bytes.toString("utf8", at + 2, end));
    at = end;
  }
  return words;
}
