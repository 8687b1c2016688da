//! The parts of the program `dpop`, for its own `main` and its tests. They are not a public API: use the
//! crate `dpop-tower` instead.

#[doc(hidden)]
pub mod failure;
mod files;
#[doc(hidden)]
pub mod gateway;
#[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
#[doc(hidden)]
pub mod idp;
#[doc(hidden)]
pub mod inspect;
#[doc(hidden)]
pub mod key;
mod loopback;
#[doc(hidden)]
pub mod proof;
#[doc(hidden)]
pub mod request;
mod secret;
mod signal;
#[doc(hidden)]
pub mod terminal;
#[doc(hidden)]
pub mod token;
