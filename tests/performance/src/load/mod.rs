//! Requests over HTTP to a server in its own process and on its own core.

pub mod apache;
pub mod client;
pub mod probes;
pub mod process;
pub mod setup;

/// An error that ends a measurement.
pub type Error = Box<dyn std::error::Error>;

/// The processor that servers run on.
pub const SERVER_CORE: &str = "0";

/// The processor that the generator runs on.
pub const GENERATOR_CORE: &str = "1";
