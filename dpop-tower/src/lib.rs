#![doc = "dpop-tower"]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
mod check;
mod config;
pub mod crypto;
mod error;
mod jose;
pub mod jwk;
mod keys;
mod middleware;
pub mod nonce;
mod policy;
pub mod proof;
pub mod rejection;
pub mod replay;
pub mod target;
#[cfg(feature = "test-util")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
pub mod test_util;
pub mod time;
pub mod token;
mod verifier;

pub use self::{
    config::{DpopConfig, DpopConfigBuilder},
    error::{ConfigError, ConfigErrorKind},
    middleware::{Dpop, DpopLayer, ResponseFuture},
    policy::{Mode, Policy},
    target::PublicOrigin,
    token::{BearerToken, BoundToken, JwtTokens},
};
