# Builds with the classic builder and with BuildKit: no feature of either is used.
#   docker build --build-arg REVISION="$(git rev-parse --short HEAD)" -t oms-sync-worker .

FROM rust:1.95-slim-bookworm AS build
# librdkafka, OpenSSL and zstd are compiled from source: gcc, g++, make and perl.
RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends build-essential perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The dependencies alone, so that a change in src does not compile them again.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
 && cargo build --release --locked \
 && rm -r src
COPY src src
ARG REVISION=unknown
# Copied files may be older than what was just built of the empty ones.
RUN touch src/main.rs src/lib.rs \
 && OMS_SYNC_REVISION="$REVISION" cargo build --release --locked

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /build/target/release/oms-sync-worker /usr/local/bin/oms-sync-worker
USER 65532:65532
EXPOSE 9464
# Asks /livez at admin.listen of the configuration in the environment (OMS_SYNC_CONFIG names a file).
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/oms-sync-worker", "health"]
ENTRYPOINT ["/usr/local/bin/oms-sync-worker"]
CMD ["run"]
