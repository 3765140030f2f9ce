# syntax=docker/dockerfile:1
# Two images: `fairlead`, the static binary and the certificates that it trusts, nothing else, and `fairlead-full`, which brings Git,
# ssh and a shell: for writing to Git, and for login scripts. Both run as user 65532 with a read-only root.
#
#     docker build --target fairlead-full --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) .
#
# With SOURCE_DATE_EPOCH and `--output type=image,rewrite-timestamp=true` the first is the same bytes every time; the second holds
# packages of the day.

FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev ca-certificates
WORKDIR /src
COPY . .
# Paths of this machine stay out of the binary.
ENV RUSTFLAGS="--remap-path-prefix=/src=/fairlead --remap-path-prefix=/usr/local/cargo=/cargo"
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin fairlead && cp target/release/fairlead /fairlead

FROM debian:12-slim AS fairlead-full
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="fairlead" \
      org.opencontainers.image.description="Keeps the container images of Argo CD Applications up to date" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Git, and what it calls to connect and to sign; the command lines of AWS and Azure, and curl and jq, for scripts. ssh refuses a user
# without a name.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        git openssh-client gnupg gpg-agent ca-certificates curl jq awscli azure-cli \
    && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/* \
    && useradd --uid 65532 --user-group --home-dir /tmp --shell /usr/sbin/nologin fairlead
COPY --from=build /fairlead /fairlead
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/fairlead"]
CMD ["run"]

FROM scratch AS fairlead
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="fairlead" \
      org.opencontainers.image.description="Keeps the container images of Argo CD Applications up to date" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /fairlead /fairlead
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/fairlead"]
CMD ["run"]
