//! The guides of dpop-tower: the pages of the book in `docs/`.
//!
//! Begin with [where to find what](introduction). The pictures are in the book only.

// A page links to others by path, which is right for mdBook and for those who read the files. The first definition of
// a label counts, so in rustdoc `links.md` makes them lead to the modules. `it::repo::book` keeps it up to date.
macro_rules! guides {
    ($($name:ident: $page:literal { $($inner:tt)* })*) => {$(
        #[doc = include_str!("_guide/links.md")]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/", $page))]
        pub mod $name {
            guides! { $($inner)* }
        }
    )*};
}

guides! {
    architecture: "architecture.md" {}
    authorization_server: "authorization-server.md" {}
    browsers: "browsers.md" {}
    cli: "cli.md" {}
    client: "client.md" {}
    compile_errors: "compile-errors.md" {}
    conformance: "conformance.md" {}
    crypto_backends: "crypto-backends.md" {}
    deploy: "deploy.md" {}
    downgrade: "downgrade.md" {}
    forward_auth: "forward-auth.md" {}
    fuzzing: "fuzzing.md" {}
    gateway: "gateway.md" {}
    grpc: "grpc.md" {}
    idp: "idp.md" {}
    inspect: "inspect.md" {}
    introduction: "introduction.md" {}
    issuers: "issuers.md" {}
    known_bugs: "known-bugs.md" {}
    kong: "kong.md" {}
    layers: "layers.md" {}
    metadata: "metadata.md" {}
    migration: "migration.md" {}
    mtls: "mtls.md" {}
    mutation: "mutation.md" {}
    nonces: "nonces.md" {}
    observability: "observability.md" {}
    performance: "performance.md" {}
    playground: "playground.md" {}
    policies: "policies.md" {}
    profiles: "profiles.md" {}
    replay_postgres: "replay-postgres.md" {}
    replay_redis: "replay-redis.md" {}
    replay: "replay.md" {}
    revocation: "revocation.md" {}
    settings: "settings.md" {}
    soak: "soak.md" {}
    stability: "stability.md" {}
    testing: "testing.md" {}
    threat_model: "threat-model.md" {}
    troubleshooting: "troubleshooting.md" {}
    tutorial_grpc: "tutorial-grpc.md" {}
    tutorial: "tutorial.md" {}
    walkthrough: "walkthrough.md" {}
    websockets: "websockets.md" {}
    why_not: "why-not.md" {}
    wire: "wire.md" {}
    decisions: "decisions/README.md" {
        _0001: "decisions/0001-errors-beside-their-subject.md" {}
        _0002: "decisions/0002-replay-margin.md" {}
        _0003: "decisions/0003-unknown-bindings-are-rejected.md" {}
        _0004: "decisions/0004-default-features.md" {}
        _0005: "decisions/0005-test-util-signs-by-itself.md" {}
        _0006: "decisions/0006-replay-store-in-parts.md" {}
        _0007: "decisions/0007-streams-end-in-a-layer-of-their-own.md" {}
        _0008: "decisions/0008-gateway-forwards-with-hyper.md" {}
        _0009: "decisions/0009-a-body-type-of-its-own.md" {}
        _0010: "decisions/0010-the-longest-window-counts.md" {}
        _0011: "decisions/0011-the-backend-hashes.md" {}
        _0012: "decisions/0012-the-innermost-configuration-wins.md" {}
        _0013: "decisions/0013-htu-is-normalised-here.md" {}
        _0014: "decisions/0014-no-negative-cache-of-kids.md" {}
        _0015: "decisions/0015-times-of-key-fetches.md" {}
        _0016: "decisions/0016-tls-with-rustls.md" {}
        _0017: "decisions/0017-encrypted-tokens.md" {}
        _0018: "decisions/0018-a-script-in-redis.md" {}
        _0019: "decisions/0019-token-requests-without-oauth2.md" {}
        _0020: "decisions/0020-a-table-of-its-own.md" {}
    }
}
