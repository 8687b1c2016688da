//! What RFC 9449 and related specifications require of a resource server, as cases that run against a
//! [`Way`]: the layer in process, the layer behind a socket, or a proxy in front of a service.
//!
//! [`every_case`] passes all cases to a macro of the caller, module by module, and that macro makes the
//! tests. The cases are compiled once, in this crate, however many ways and test binaries there are.
//!
//! [`Way`]: support::Way

#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::new_without_default,
    clippy::wildcard_imports,
    reason = "this is the code of tests, in a library so that two binaries share it"
)]

#[macro_use]
mod cases;

pub mod authorization_server;
pub mod challenge;
pub mod crypto;
pub mod documentation;
pub mod logging;
#[doc(hidden)]
pub mod requirements;
#[doc(hidden)]
pub mod reuse;
#[doc(hidden)]
pub mod rfc9449;
pub mod servers;
pub mod stores;
pub mod support;
#[doc(hidden)]
pub mod token;

pub use cases::Case;
