/**
 * The same application with the client embedded: no gateway between it and the servers, so one hop less.
 *
 *   client ──► this server (ringshift client inside) ──► memcached
 *
 *   npm run build && node examples/forward-server/embedded.mjs      (FORWARD_PORT, RINGSHIFT_REDIS)
 */
import { createServer } from "node:http";
import { createClient, isRingshiftError } from "ringshift";

const port = Number(process.env.FORWARD_PORT ?? 8080);
const host = process.env.FORWARD_HOST ?? "127.0.0.1";
const MAX_BODY = 2 ** 20;

const cache = await createClient({ redis: process.env.RINGSHIFT_REDIS ?? "redis://127.0.0.1:6379" });

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    const bad = isRingshiftError(error, "INVALID_KEY") || error instanceof SyntaxError || error instanceof URIError;
    answer(response, bad ? 400 : 503, { error: isRingshiftError(error) ? error.code : "BAD_REQUEST" });
  });
});

async function handle(request, response) {
  const key = decodeURIComponent((request.url ?? "/").slice(1));
  const { index } = cache.locate(key);
  const { nodes } = cache.topology();
  response.setHeader("X-CacheServer-Index", index);
  response.setHeader("X-CacheServer-Count", nodes.length);
  response.setHeader("X-CacheServer-Indexes", nodes.map((node) => node.index).join(","));
  switch (request.method) {
    case "POST": {
      const value = JSON.parse(await bodyOf(request))?.value;
      if (value === undefined) return answer(response, 400, { error: "INVALID_VALUE" });
      await cache.set(key, value);
      return answer(response, 201, { stored: true });
    }
    case "GET": {
      const value = await cache.get(key);
      return value === undefined ? answer(response, 404, {}) : answer(response, 200, { value });
    }
    case "DELETE":
      return answer(response, (await cache.delete(key)) ? 204 : 404);
    default:
      return answer(response, 405, {});
  }
}

function answer(response, status, body) {
  response.writeHead(status, body === undefined ? {} : { "content-type": "application/json" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) throw new SyntaxError("too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

server.listen(port, host, () => {
  const { port: bound } = server.address();
  console.log(`forward server with the client inside on http://${host}:${bound}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.close(() => void cache.quit().then(() => process.exit(0)));
    server.closeIdleConnections();
  });
}
