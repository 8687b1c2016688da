//! A tonic server that is protected by dpop-tower, and a client for it.
//!
//! ```text
//! cargo run -p grpc-example -- --demo            fails if anything came out otherwise than expected
//! cargo run -p grpc-example --bin orders-client  calls each method, with a token of a real issuer
//! ```
//!
//! Both programs say with `--help` what they read from the environment.

pub mod calls;
pub mod client;
pub mod orders;
pub mod proto;
pub mod server;
