# Builds midwatch and puts it into a small image that runs it as a user without rights.
# tests/dockerfile.sh goes through these commands one by one on a machine without containers.

FROM rust:1.95-bookworm AS build
WORKDIR /build
# The dependencies first: this layer is built again only when they change.
COPY Cargo.toml Cargo.lock ./
COPY .patches .patches
RUN mkdir -p src tests/it tests/prove benches
RUN for file in src/main.rs tests/it/main.rs tests/prove/main.rs benches/ratios.rs; do echo 'fn main() {}' > "$file"; done && touch src/lib.rs
RUN cargo build --profile image --locked
COPY src src
# What is newer than the layer before is built again; a checkout may have older dates.
RUN touch src/lib.rs src/main.rs
RUN cargo build --profile image --locked

FROM debian:bookworm-slim
# Certificates for Slack, time zones for rotations and windows.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tzdata && rm -rf /var/lib/apt/lists/*
RUN mkdir /data && chown 10001:10001 /data
COPY --from=build /build/target/image/midwatch /usr/local/bin/midwatch
COPY commands /etc/midwatch/commands
COPY runbooks /etc/midwatch/runbooks
ENV MIDWATCH_LISTEN=0.0.0.0:7380
ENV MIDWATCH_DATA=/data
ENV MIDWATCH_COMMANDS=/etc/midwatch/commands
ENV MIDWATCH_RUNBOOKS=/etc/midwatch/runbooks
ENV MIDWATCH_LOG_FORMAT=json
# Steps that run programs run here.
WORKDIR /etc/midwatch
USER 10001:10001
VOLUME /data
EXPOSE 7380
HEALTHCHECK --interval=15s --timeout=6s --start-period=10s CMD ["midwatch", "doctor", "--ready"]
ENTRYPOINT ["midwatch"]
CMD ["serve"]
