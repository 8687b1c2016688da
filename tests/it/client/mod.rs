//! The client side, against the layer.

mod oauth;
mod proofs;
