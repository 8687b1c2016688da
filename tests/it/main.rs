//! Integration tests: the layer as users have it, over real sockets where that matters.

mod architecture;
mod axum_router;
mod backends;
mod challenge;
mod crypto;
mod demands;
mod documentation;
mod gateway;
mod grpc;
mod hostile;
mod keys;
mod layer;
mod logging;
mod policies;
mod proxies;
mod rfc9449;
mod stores;
mod support;
mod token;
mod worst_case;
mod wycheproof;
