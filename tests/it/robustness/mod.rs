//! What comes of hostile and broken input, of clocks that jump, and of two crypto libraries.

mod backends;
mod clock;
pub(crate) mod crypto;
mod hashes;
mod hostile;
mod windows;
mod worst_case;
mod wycheproof;
