# syntax=docker/dockerfile:1
# A static binary and the certificates that it trusts, nothing else.

FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev ca-certificates
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin fairlead && cp target/release/fairlead /fairlead

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /fairlead /fairlead
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/fairlead"]
CMD ["run"]
