# An image that holds the broker and nothing else:
#
#     docker build -t babelmq .
#     docker run --publish 127.0.0.1:5000:5000 --volume babelmq:/data babelmq
#
# It has no users: publish the port to machines that you trust.
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
# Last values, kept in a volume; its user owns the directory.
COPY --from=build --chown=65534:65534 --chmod=700 /data /data
VOLUME /data
USER 65534:65534
EXPOSE 5000
# What is set here may be set anew by `docker run --env`; a flag would stand above that.
ENV BABELMQ_LISTEN=tcp://0.0.0.0:5000 BABELMQ_DATA_DIR=/data BABELMQ_LOG_FORMAT=json BABELMQ_ALLOW_ANONYMOUS=true
ENTRYPOINT ["/babelmq"]
CMD ["serve"]
HEALTHCHECK --interval=10s --timeout=5s CMD ["/babelmq", "check"]
STOPSIGNAL SIGTERM
