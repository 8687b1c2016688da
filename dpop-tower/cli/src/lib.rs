//! What the program `dpop` is made of, for its own `main` and its tests. None of it is an interface to
//! build on: use the crate `dpop-tower` for that.

#[doc(hidden)]
pub mod gateway;
