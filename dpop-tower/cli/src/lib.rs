//! The parts of the program `dpop`, for its own `main` and its tests. They are not a public API: use the
//! crate `dpop-tower` instead.

#[doc(hidden)]
pub mod failure;
#[doc(hidden)]
pub mod gateway;
#[doc(hidden)]
pub mod inspect;
#[doc(hidden)]
pub mod terminal;
