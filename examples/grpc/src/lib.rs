//! A tonic server protected by dpop-tower, and a client for it.
//!
//! ```text
//! cargo run -p grpc-example -- --demo            fails unless every outcome is as expected
//! cargo run -p grpc-example --bin orders-client  calls each method with a token of a real issuer
//! ```
//!
//! Run either program with `--help` for the environment variables that it reads.

pub mod calls;
pub mod client;
pub mod orders;
pub mod proto;
pub mod server;
