//! Real databases for tests. Each is a process of its own on a free port of loopback, with its files in a temporary
//! folder, and ends with the value that started it.
#![allow(clippy::missing_panics_doc, reason = "what goes wrong fails the test")]

mod port;
pub mod postgres;
pub mod redis;
pub mod relay;

pub use self::port::free_port;
