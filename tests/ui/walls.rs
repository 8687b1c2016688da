//! Common type errors of users. `//~` is followed by part of the compiler's message, and `//~ note` by
//! one of its notes.

use std::time::SystemTime;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, DpopLayer, Issuer, Policy, PublicOrigin,
    client::{ApiOrigin, DpopClient, DpopClientLayer},
    nonce::NonceSecret,
};

fn target(issuer: Issuer) {
    //~ `&str` cannot tell what clients call this service
    //~ does not implement `TargetUri`
    //~ note give `PublicOrigin::new("https://api.example.com")?`
    let _ = DpopConfig::builder("https://api.example.com", issuer);
}

fn tokens(origin: PublicOrigin) {
    //~ `&str` cannot verify access tokens
    //~ does not implement `TokenVerifier`
    //~ note give `Issuer::discover("https://idp.example.com")
    let _ = DpopConfig::builder(origin, "https://idp.example.com");
}

fn replay_store(config: DpopConfigBuilder) {
    //~ `HashSet<String>` cannot remember used proofs
    //~ does not implement `ReplayStore`
    //~ note `MemoryReplayStore` of `dpop_tower::replay` can
    let _ = config.replay_store(std::collections::HashSet::<String>::new());
}

fn nonces(config: DpopConfigBuilder, secret: NonceSecret) {
    //~ `NonceSecret` cannot make nonces
    //~ does not implement `NonceSource`
    //~ note `StatelessNonces::new(secret)` of `dpop_tower::nonce` can
    let _ = config.nonce_source(secret);
}

fn clock(config: DpopConfigBuilder) {
    //~ `SystemTime` cannot tell the time
    //~ does not implement `TimeSource`
    //~ note `SystemClock` and `ManualClock` of `dpop_tower::clock` can
    let _ = config.clock(SystemTime::now());
}

fn crypto(config: DpopConfigBuilder) {
    //~ `&str` is no crypto backend
    //~ does not implement `CryptoProvider`
    //~ note `Josekit` and `AwsLcRs` of `dpop_tower::crypto` are
    let _ = config.crypto("aws-lc-rs");
}

fn policy(layer: DpopLayer) {
    //~ Policy<Draft>` cannot be the policy of a layer
    //~ is neither a `Policy` nor a `PolicyTable`
    //~ note methods that ask for more make a `Policy<Draft>`
    let _ = layer.with_policy(Policy::strict().require_nonce());
}

fn response(layer: DpopLayer) {
    //~ `u16` cannot answer rejected requests
    //~ is no `RejectionResponse`
    //~ note give a closure such as
    let _ = layer.with_rejection_response(401_u16);
}

fn token_source(client: DpopClient, origin: ApiOrigin) {
    //~ `&str` is no source of access tokens
    //~ does not implement `TokenSource`
    //~ note `AccessToken::new(token)?` of `dpop_tower::client` does
    let _ = DpopClientLayer::new(client, "eyJhbGciOi", origin);
}
