/** The proxy of the chaos runs, between an echo server and its client. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FaultyProxy } from "../../src/chaos/proxy.ts";
import { Random } from "../../src/model/random.ts";

const FOR_EVER_MS = 1_000_000;
let echo: Server;
let proxy: FaultyProxy;
const sockets: Socket[] = [];

beforeEach(async () => {
  echo = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  proxy = await FaultyProxy.listen((echo.address() as AddressInfo).port, new Random(1));
});

afterEach(() => {
  proxy.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  echo.close();
});

function open(): Socket {
  const socket = connect(proxy.port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => {});
  return socket;
}

/** What comes back until `length` bytes are there, or the connection ends. */
async function back(socket: Socket, length: number): Promise<string> {
  let text = "";
  socket.setEncoding("latin1");
  for await (const piece of socket.iterator({ destroyOnReturn: false })) {
    text += piece;
    if (text.length >= length) return text;
  }
  return text;
}

async function asked(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  return back(socket, text.length);
}

/** True when the connection ends with nothing answered. */
async function isCut(socket: Socket, text: string): Promise<boolean> {
  const answered: string[] = [];
  socket.on("data", (piece) => answered.push(String(piece)));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(text);
  await closed;
  return answered.length === 0;
}

test("passes everything, in both directions, while there is no fault", async () => {
  expect(await asked(open(), "hello")).toBe("hello");
});

test("drop: nothing comes back, on old and new connections, and they are cut at its end", async () => {
  const before = open();
  await asked(before, "hello");
  proxy.fault("drop", FOR_EVER_MS);
  const after = open();
  const cut = [isCut(before, "lost"), isCut(after, "lost")];
  await once(after, "connect");
  proxy.heal();
  expect(await Promise.all(cut)).toEqual([true, true]);
  expect(await asked(open(), "again")).toBe("again");
});

test("refuse: old connections are cut, new ones too", async () => {
  const before = open();
  await asked(before, "hello");
  const cut = isCut(before, "");
  proxy.fault("refuse", FOR_EVER_MS);
  expect(await cut).toBe(true);
  expect(await isCut(open(), "hello")).toBe(true);
});

test("delay: pieces come in order, also those of a client that has gone", async () => {
  proxy.fault("delay", FOR_EVER_MS);
  const socket = open();
  for (let i = 0; i < 20; i++) socket.write(`${i} `);
  const whole = Array.from({ length: 20 }, (_, i) => `${i} `).join("");
  expect(await back(socket, whole.length)).toBe(whole);
  const arrived = new Promise<string>((resolve) => {
    echo.once("connection", (server: Socket) => server.once("data", (piece) => resolve(String(piece))));
  });
  const gone = open();
  gone.write("last words", () => gone.destroy());
  expect(await arrived).toBe("last words");
});

test("reset: a larger piece is cut in the middle, and the connection with it", async () => {
  proxy.fault("reset", FOR_EVER_MS);
  const arrived = new Promise<number>((resolve) => {
    let bytes = 0;
    echo.once("connection", (server: Socket) => {
      server.on("data", (piece) => {
        bytes += piece.length;
      });
      server.on("close", () => resolve(bytes));
    });
  });
  const socket = open();
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("x".repeat(1000));
  await closed;
  expect(await arrived).toBeLessThan(1000);
});

test("half open: what it had lost is cut at its end; then all is as before", async () => {
  const before = Array.from({ length: 12 }, open);
  for (const socket of before) await asked(socket, "hello");
  proxy.fault("halfOpen", FOR_EVER_MS);
  const ends = before.map((socket) => new Promise((resolve) => socket.once("close", () => resolve("cut"))));
  proxy.heal();
  expect(await Promise.race(ends)).toBe("cut"); // with this seed some of the twelve are hit
  expect(await asked(open(), "again")).toBe("again");
});

test("retarget: the next connection reaches another server", async () => {
  const other = createServer((socket) => {
    sockets.push(socket);
    socket.end("the other");
  });
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  proxy.retarget((other.address() as AddressInfo).port);
  expect(await back(open(), 9)).toBe("the other");
  other.close();
});
