//! Integration tests: the layer as users have it, over real sockets where that matters.

mod architecture;
mod axum_router;
mod crypto;
mod downgrade;
mod downgrade_matrix;
mod hostile;
mod keys;
mod layer;
mod logging;
mod nonces;
mod policies;
mod proof;
mod replay;
mod support;
mod token;
mod wire;
