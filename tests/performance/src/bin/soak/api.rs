//! `soak api MAX_AGE LEEWAY`: an axum service behind the layer, with the replay store in memory.
//!
//! It reads a JWK Set from its standard input, and prints its address.

use std::{
    io::{self, BufRead as _},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    routing::{get, post},
};
use dpop_tower::{
    DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin, crypto::AwsLcRs, replay::MemoryReplayStore,
};
use dpop_tower_performance::load::Error;

use crate::people::{ISSUER, ORIGIN};

/// How many proofs the store remembers.
pub const CAPACITY: usize = 20_000;
/// How many tokens are cached. With the default of 10,000, an hour is too short to fill the cache.
const TOKENS: usize = 256;
/// How many proofs a second one key may use for long. The good clients send half of it, and the flood four times as much.
const PER_KEY_AND_SECOND: usize = 8;

/// Serves until the process is ended.
pub async fn serve(max_age: u64, leeway: u64) -> Result<(), Error> {
    let mut jwks = String::new();
    io::stdin().lock().read_line(&mut jwks)?;
    let remembered = usize::try_from(max_age + leeway + 5)?;
    let store = MemoryReplayStore::with_capacity(size(CAPACITY)?)
        .capacity_per_key(size(PER_KEY_AND_SECOND * remembered)?);
    let store = Arc::new(store);
    let issuer = Issuer::new(ISSUER)
        .jwks(jwks.as_str())
        .audience(ORIGIN)
        .cache_capacity(TOKENS);
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN)?, issuer)
        .crypto(AwsLcRs)
        .max_age(Duration::from_secs(max_age))
        .leeway(Duration::from_secs(leeway))
        .replay_store(Arc::clone(&store))
        .build()?;
    let layer = DpopLayer::new(config);
    let reports = layer
        .clone()
        .with_policy(Policy::strict().require_scope("reports").build()?);
    let protected = Router::new()
        .route("/orders/{id}", get(async || "ok"))
        .route(
            "/orders/{id}",
            post(async |body: String| body.len().to_string()),
        )
        .layer(layer);
    let reports = Router::new()
        .route("/reports/{id}", get(async || "ok"))
        .layer(reports);
    // What this program takes inside.
    let inside = async move || {
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        format!("{} {tasks}", store.len())
    };
    let router = protected.merge(reports).route("/inside", get(inside));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

fn size(entries: usize) -> Result<NonZeroUsize, Error> {
    Ok(NonZeroUsize::new(entries).ok_or("it is more than nothing")?)
}
