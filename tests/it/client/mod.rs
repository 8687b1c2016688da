//! The client side, against the layer.

mod proofs;
