//! The client side, against the layer.

mod oauth;
mod calls;
mod grpc;
mod nonces;
mod proofs;
mod redirects;
mod reqwest;
mod retries;
mod server;
