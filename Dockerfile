# An image that holds the broker and nothing else. It speaks TLS, to the users of a file, and does not start before the
# certificates and that file are in its volume (docs/security.md):
#
#     docker build -t babelmq .
#     docker run --rm --volume babelmq:/data babelmq certs /data/tls --host broker.example.org
#     docker create --name babelmq --volume babelmq:/data --publish 5000:5000 babelmq
#     docker cp users.toml babelmq:/data/users.toml
#     docker start babelmq
FROM rust:1.90-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends musl-tools \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
COPY src src
COPY benches benches
COPY examples examples
COPY tests tests
COPY README.md ./
RUN cargo build --release --locked --bin babelmq --target "$(uname -m)-unknown-linux-musl" \
    && cp "target/$(uname -m)-unknown-linux-musl/release/babelmq" /babelmq \
    && mkdir /data

FROM scratch
COPY --from=build /babelmq /babelmq
# Last values, certificates and users, kept in a volume; its user owns the directory.
COPY --from=build --chown=65534:65534 --chmod=700 /data /data
VOLUME /data
USER 65534:65534
EXPOSE 5000
# What is set here may be set anew by `docker run --env`; a flag would stand above that.
# Port 5001 is reached from inside of the container alone.
ENV BABELMQ_LISTEN=tls://0.0.0.0:5000,127.0.0.1:5001 BABELMQ_DATA_DIR=/data BABELMQ_LOG_FORMAT=json \
    BABELMQ_TLS_CERT=/data/tls/server.crt BABELMQ_TLS_KEY=/data/tls/server.key BABELMQ_USERS=/data/users.toml
ENTRYPOINT ["/babelmq"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s CMD ["/babelmq", "check", "--address", "127.0.0.1:5001"]
STOPSIGNAL SIGTERM
