/**
 * The forward server of the exercise: passes requests on to the gateway and gives back its answer with the headers about the cluster.
 *
 *   client ──► forward server ──► gateway ──► memcached
 *
 *   node examples/forward-server/forward.mjs      (FORWARD_PORT, GATEWAY_URL)
 */
import { Agent, createServer, request } from "node:http";
import { pipeline } from "node:stream";

const gateway = new URL(process.env.GATEWAY_URL ?? "http://127.0.0.1:8000");
const port = Number(process.env.FORWARD_PORT ?? 8080);
const host = process.env.FORWARD_HOST ?? "127.0.0.1";
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** Headers of one connection only: they are not passed on (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

const server = createServer((incoming, outgoing) => {
  const headers = withoutHops(incoming.headers); // Host included: the gateway compares a browser's Origin with it
  // the target goes on as it came: a parsed URL would have resolved dots and lost what the gateway has to judge
  const { hostname, port: to } = gateway;
  const onward = request(
    { hostname, port: to, agent, headers, path: incoming.url, method: incoming.method },
    (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, withoutHops(answer.headers));
      pipeline(answer, outgoing, () => {});
    },
  );
  onward.on("error", () => {
    if (outgoing.headersSent) outgoing.destroy();
    else
      outgoing
        .writeHead(502, { "content-type": "application/problem+json" })
        .end('{"title":"The gateway does not answer","status":502}');
  });
  pipeline(incoming, onward, () => {});
});

function withoutHops(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}

server.listen(port, host, () => {
  const { port: bound } = server.address();
  console.log(`forward server on http://${host}:${bound}, passing on to ${gateway.origin}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
