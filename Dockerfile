# Two images: the operator (`docker build .`), without the emulated systems; and `docker build --target demo .`, with them.
# Both hold the program, the C library that it needs, and certificate authorities; no shell, and nobody is root.

FROM rust:1.95.0-slim-trixie AS source
WORKDIR /source
# rust-toolchain.toml stays behind: it names this very version, and parts that only development needs.
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY sandbox sandbox

# A root folder of the program and the libraries that the loader names for it.
FROM source AS operator-root
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=scopeward-operator \
    cargo build --locked --release --no-default-features \
    && install -D target/release/scopeward /root-folder/usr/local/bin/scopeward
RUN ldd /root-folder/usr/local/bin/scopeward | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory /root-folder

FROM source AS demo-root
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target,id=scopeward-demo \
    cargo build --locked --release \
    && install -D target/release/scopeward /root-folder/usr/local/bin/scopeward
RUN ldd /root-folder/usr/local/bin/scopeward | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory /root-folder

FROM scratch AS base
# The program trusts what the system trusts; `SSL_CERT_FILE` names another file.
COPY --from=source /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/scopeward"]

FROM base AS demo
COPY --from=demo-root /root-folder /
EXPOSE 8080

# The last target is the one that is built where none is named.
FROM base AS operator
COPY --from=operator-root /root-folder /
EXPOSE 8080
CMD ["operator"]
