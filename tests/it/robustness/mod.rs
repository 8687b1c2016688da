//! Hostile and broken input, clocks that jump, and two crypto libraries.

mod backends;
mod changing;
mod clock;
pub(crate) mod crypto;
mod fence;
mod hashes;
mod hostile;
mod nonces;
mod readiness;
mod sent;
mod windows;
mod worst_case;
mod wycheproof;
