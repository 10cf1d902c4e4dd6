# ringshift with its tests: the gateway and the command line for a cluster of containers, and `docker-compose exec app npm test`.
FROM node:24-bookworm-slim

# the servers that the tests start inside the container
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends memcached redis-server libsasl2-modules \
 && rm -rf /var/lib/apt/lists/*

# `ringshift` and `npx ringshift`, whatever mode the compiler gives its output
RUN mkdir /app && chown node:node /app \
 && printf '#!/bin/sh\nexec node /app/dist/cli/main.js "$@"\n' >/usr/local/bin/ringshift \
 && chmod 755 /usr/local/bin/ringshift

USER node
WORKDIR /app

# dependencies first: they stay cached while the sources change (--ignore-scripts, as `prepare` would build without sources)
COPY --chown=node:node package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund \
 && ln -s /usr/local/bin/ringshift node_modules/.bin/ringshift

COPY --chown=node:node . .
RUN npm run build

ENV PATH=/app/node_modules/.bin:$PATH
EXPOSE 8000 9999
CMD ["ringshift", "serve", "--config", "deploy/ringshift.yaml"]
