//! The Rust code of the README and of the book, as documentation tests.
//!
//! `it::repo::documentation` fails if a page with Rust code is missing here.

#![doc = include_str!("../README.md")]

/// Runs the code of these pages of `docs/`.
macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!(concat!("../docs/", $page))]
        mod $name {}
    )*};
}

pages! {
    authorization_server: "authorization-server.md",
    browsers: "browsers.md",
    client: "client.md",
    crypto_backends: "crypto-backends.md",
    grpc: "grpc.md",
    issuers: "issuers.md",
    kong: "kong.md",
    layers: "layers.md",
    metadata: "metadata.md",
    migration: "migration.md",
    mtls: "mtls.md",
    policies: "policies.md",
    profiles: "profiles.md",
    replay: "replay.md",
    replay_postgres: "replay-postgres.md",
    replay_redis: "replay-redis.md",
    revocation: "revocation.md",
    testing: "testing.md",
    websockets: "websockets.md",
}
