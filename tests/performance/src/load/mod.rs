//! Requests over HTTP, to a server that is a process of its own on a core of its own.

pub mod apache;
pub mod client;
pub mod probes;
pub mod process;
pub mod setup;

/// Whatever ends a measurement.
pub type Error = Box<dyn std::error::Error>;

/// The processor that servers run on.
pub const SERVER_CORE: &str = "0";

/// The processor that the generator runs on.
pub const GENERATOR_CORE: &str = "1";
