# Builds with BuildKit and with the classic builder, for the platform that it runs on: linux/amd64 or linux/arm64.
#   docker build --build-arg REVISION="$(git rev-parse --short HEAD)" -t oms-sync-worker .
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION="$(git rev-parse --short HEAD)" .
# Either base image may be given by digest: --build-arg RUNTIME=gcr.io/distroless/cc-debian12@sha256:...
ARG RUST=rust:1.95-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

# The dependencies alone, compiled for an empty crate, so that a change in src does not compile them again.
FROM ${RUST} AS dependencies
# librdkafka, jemalloc and zstd are compiled from source: gcc, g++ and make. OpenSSL is Debian's, since the last image has
# it: what is repaired in it comes with a newer base, and the binary is a third smaller. No symbols: a panic names its line
# without.
RUN apt-get update -q \
 && apt-get install -y -q --no-install-recommends build-essential libssl-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
ENV OPENSSL_NO_VENDOR=1 CARGO_PROFILE_RELEASE_DEBUG=none CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# Cargo wants to see what Cargo.toml names, the bench and the fault campaign too.
RUN mkdir -p src benches tests/campaign \
 && touch src/lib.rs benches/decode.rs tests/campaign/main.rs && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked \
 && rm -r src

FROM dependencies AS build
COPY src src
ARG VERSION=0.1.0
ARG REVISION=unknown
# Copied files may be older than what was just built of the empty ones. Then: the binary is what the labels will say, and
# needs no library but those of the last image.
RUN touch src/main.rs src/lib.rs \
 && OMS_SYNC_REVISION="$REVISION" cargo build --release --locked \
 && binary=target/release/oms-sync-worker \
 && { [ "$("$binary" --version)" = "oms-sync-worker $VERSION (revision $REVISION)" ] \
      || { echo "VERSION=$VERSION is not the version in Cargo.toml"; exit 1; }; } \
 && ldd "$binary" > needs && cat needs \
 && { ! grep -vE 'linux-vdso|ld-linux|/lib(c|m|gcc_s|stdc\+\+|ssl|crypto)\.so' needs \
      || { echo "libraries that the last image does not have"; exit 1; }; }

FROM ${RUNTIME}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="oms-sync-worker" \
      org.opencontainers.image.description="Kafka consumer worker for Huawei Cloud OMS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /build/target/release/oms-sync-worker /usr/local/bin/oms-sync-worker
USER 65532:65532
EXPOSE 9464
# Asks /livez at admin.listen of the configuration in the environment (OMS_SYNC_CONFIG names a file).
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/usr/local/bin/oms-sync-worker", "health"]
ENTRYPOINT ["/usr/local/bin/oms-sync-worker"]
CMD ["run"]
