/**
 * A script that makes a scripted server answer as a memcached does that keeps its items in this process: the meta commands, the classic
 * storage commands, stats, metadump. Faults can be put around it, request by request. Its clock is Date.now, in whole seconds as memcached's.
 */
import type { Script, ScriptedRequest, Step } from "./scripted-server.ts";

/** From here on an expiry is an absolute time. */
const MAX_RELATIVE_TTL_S = 2_592_000;
const MAX_ITEM_BYTES = 1024 * 1024;
const MAX_U64 = 2n ** 64n;

interface Item {
  value: Buffer;
  flags: number;
  cas: bigint;
  /** Unix seconds; 0: never. */
  expires: number;
  usedAt: number;
  hit: boolean;
  /** Somebody has the token to load it anew. */
  won: boolean;
}

type Flags = ReadonlyMap<string, string>;

export class MemoryMemcached {
  readonly #items = new Map<string, Item>();
  #cas = 0n;

  /** Answers a request; give this to `ScriptedServer.listen`. */
  readonly script: Script = (request) => this.#answer(request);

  get size(): number {
    return this.#items.size;
  }

  #answer({ line, data }: ScriptedRequest): readonly Step[] {
    const [name = "", word = "", ...rest] = line.split(" ");
    switch (name) {
      case "mg":
        return send(this.#metaGet(word, flagsOf(rest)));
      case "ms":
        return send(this.#metaSet(word, flagsOf(rest.slice(1)), data!));
      case "md":
        return send(this.#metaDelete(word, flagsOf(rest)));
      case "ma":
        return send(this.#metaArithmetic(word, flagsOf(rest)));
      case "mn":
        return send("MN\r\n");
      case "version":
        return send("VERSION 1.6.18\r\n");
      case "stats":
        return send(this.#stats(word));
      case "lru_crawler":
        return send(this.#metadump());
      case "flush_all":
        this.#items.clear();
        return send("OK\r\n");
      case "quit":
        return [{ end: true }];
      default:
        return send(data === undefined ? "ERROR\r\n" : this.#classic(name, word, rest, data));
    }
  }

  #metaGet(word: string, flags: Flags): string {
    const item = this.#find(keyOf(word, flags));
    if (item === undefined) return "EN\r\n";
    const now = seconds();
    const ttl = item.expires === 0 ? -1 : item.expires - now;
    const fields: Readonly<Record<string, string | number | bigint>> = {
      f: item.flags,
      c: item.cas,
      s: item.value.length,
      t: ttl,
      l: now - item.usedAt,
      h: item.hit ? 1 : 0,
      k: word,
      O: flags.get("O") ?? "",
    };
    let reply = "";
    for (const letter of flags.keys()) if (letter in fields) reply += ` ${letter}${fields[letter]}`;
    const refresh = flags.get("R");
    if (refresh !== undefined && ttl >= 0 && ttl < Number(refresh)) {
      reply += item.won ? " Z" : " W";
      item.won = true;
    }
    if (flags.has("T")) item.expires = expiryOf(flags.get("T")!);
    if (flags.has("v")) Object.assign(item, { hit: true, usedAt: now });
    if (!flags.has("v")) return `HD${reply}\r\n`;
    return `VA ${item.value.length}${reply}\r\n${item.value.toString("latin1")}\r\n`;
  }

  #metaSet(word: string, flags: Flags, data: Buffer): string {
    const [mode, cas] = [flags.get("M") ?? "S", flags.get("C")];
    const status = this.#store(keyOf(word, flags), mode, data, {
      flags: Number(flags.get("F") ?? 0),
      expires: flags.get("T") ?? "0",
      cas,
    });
    if (status === "TOO_LARGE") return "SERVER_ERROR object too large for cache\r\n";
    const tail = status === "HD" && flags.has("c") ? ` c${this.#cas}` : "";
    return `${status}${tail}\r\n`;
  }

  #classic(name: string, key: string, [flags, expires, , cas]: readonly string[], data: Buffer): string {
    const modes: Record<string, string> = { set: "S", add: "E", replace: "R", append: "A", prepend: "P", cas: "S" };
    const how = { flags: Number(flags), expires: expires ?? "0", cas: name === "cas" ? cas : undefined };
    const status = this.#store(key, modes[name]!, data, how);
    const words: Record<string, string> = { HD: "STORED", NS: "NOT_STORED", EX: "EXISTS", NF: "NOT_FOUND" };
    return `${words[status] ?? "SERVER_ERROR object too large for cache"}\r\n`;
  }

  #store(
    key: string,
    mode: string,
    data: Buffer,
    how: { flags: number; expires: string; cas: string | undefined },
  ): "HD" | "NS" | "EX" | "NF" | "TOO_LARGE" {
    const item = this.#find(key);
    if (how.cas !== undefined && item === undefined) return "NF";
    if (how.cas !== undefined && String(item!.cas) !== how.cas) return "EX";
    if (mode === "E" ? item !== undefined : mode !== "S" && item === undefined) return "NS";
    const extended = mode === "A" ? [item!.value, data] : mode === "P" ? [data, item!.value] : undefined;
    const value = extended === undefined ? Buffer.from(data) : Buffer.concat(extended);
    if (value.length + key.length > MAX_ITEM_BYTES) return extended === undefined ? "TOO_LARGE" : "NS";
    this.#cas++;
    if (extended !== undefined) Object.assign(item!, { value, cas: this.#cas });
    else this.#items.set(key, this.#newItem(value, how.flags, expiryOf(how.expires)));
    return "HD";
  }

  #newItem(value: Buffer, flags: number, expires: number): Item {
    return { value, flags, cas: this.#cas, expires, usedAt: seconds(), hit: false, won: false };
  }

  #metaDelete(word: string, flags: Flags): string {
    const key = keyOf(word, flags);
    const item = this.#find(key);
    if (item === undefined) return "NF\r\n";
    if (flags.has("C") && String(item.cas) !== flags.get("C")) return "EX\r\n";
    this.#items.delete(key);
    return "HD\r\n";
  }

  #metaArithmetic(word: string, flags: Flags): string {
    const item = this.#find(keyOf(word, flags));
    if (item === undefined) return "NF\r\n";
    const text = item.value.toString("latin1").trim();
    if (!/^\d{1,20}$/.test(text)) return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    const delta = BigInt(flags.get("D") ?? 1);
    const before = BigInt(text);
    const down = flags.get("M")?.toUpperCase().startsWith("D") ?? false;
    const after = down ? (before > delta ? before - delta : 0n) : (before + delta) % MAX_U64;
    Object.assign(item, { value: Buffer.from(String(after)), cas: ++this.#cas });
    return flags.has("v") ? `VA ${String(after).length}\r\n${after}\r\n` : "HD\r\n";
  }

  #stats(what: string): string {
    const lines =
      what === "settings"
        ? [`item_size_max ${MAX_ITEM_BYTES}`, "cas_enabled yes", "evictions on", "maxbytes 67108864"]
        : [`pid ${process.pid}`, "version 1.6.18", `curr_items ${this.#items.size}`, "bytes 0"];
    return `${lines.map((line) => `STAT ${line}\r\n`).join("")}END\r\n`;
  }

  #metadump(): string {
    let lines = "";
    for (const [key, item] of this.#items) {
      const expires = item.expires === 0 ? -1 : item.expires;
      lines += `key=${percent(key)} exp=${expires} la=${item.usedAt} cas=${item.cas} fetch=no cls=1 size=64\r\n`;
    }
    return `${lines}END\r\n`;
  }

  #find(key: string): Item | undefined {
    const item = this.#items.get(key);
    if (item === undefined || item.expires === 0 || item.expires > seconds()) return item;
    this.#items.delete(key);
    return undefined;
  }
}

function send(text: string): readonly Step[] {
  return [{ send: text }];
}

function flagsOf(words: readonly string[]): Flags {
  return new Map(words.filter((word) => word !== "").map((word) => [word.charAt(0), word.slice(1)]));
}

function keyOf(word: string, flags: Flags): string {
  return flags.has("b") ? Buffer.from(word, "base64").toString("latin1") : word;
}

/** Of memcached's expiry field. */
function expiryOf(field: string): number {
  const time = Number(field);
  if (time === 0) return 0;
  return time > 0 && time > MAX_RELATIVE_TTL_S ? time : seconds() + time;
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}

function percent(key: string): string {
  return key.replace(
    /[^A-Za-z0-9\-._~]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}
