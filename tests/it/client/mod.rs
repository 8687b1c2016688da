//! The client side, against the layer.

mod calls;
mod grpc;
mod nonces;
mod oauth;
mod proofs;
mod redirects;
mod reqwest;
mod retries;
mod server;
