# syntax=docker/dockerfile:1
# Each RUN step is one script, which test/dockerfile.test.ts runs as well. The version is that of the package `node` in
# package.json (the same test compares them).
ARG NODE_VERSION=24.21.0

FROM node:${NODE_VERSION}-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
COPY scripts scripts
RUN ["scripts/install.sh"]
COPY LICENSE ./
COPY db db
COPY policies policies
COPY src src
RUN ["scripts/assemble.sh", "out"]

FROM node:${NODE_VERSION}-bookworm-slim
ENV NODE_ENV=production TOCSIN_HOME=/var/lib/tocsin HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /build/out/app ./
# Keys and the keyring live here; the tree itself is never written.
COPY --from=build --chown=1000:1000 /build/out/var /var/lib
VOLUME /var/lib/tocsin
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --start-interval=1s --retries=3 CMD ["node", "scripts/healthcheck.ts"]
ENTRYPOINT ["node", "--v8-pool-size=1", "src/main.ts"]
CMD ["serve"]
