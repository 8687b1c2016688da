//! Integration tests: the layer as users have it, over real sockets where that matters.

mod architecture;
mod axum_router;
mod backends;
mod challenge;
mod cors;
mod crypto;
mod demands;
mod documentation;
mod grpc;
mod hostile;
mod keys;
mod layer;
mod lifetime;
mod logging;
mod metrics;
mod policies;
mod proxies;
mod rfc9449;
mod scopes;
mod stores;
mod support;
mod token;
mod worst_case;
mod wycheproof;
