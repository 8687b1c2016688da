//! DPoP proofs: parsing them and every check of RFC 9449 section 4.3.
//!
//! This module does no I/O, knows no clock and keeps no state: the time, the request and what is
//! expected of it are arguments. What needs state, single use (section 11.1), is up to the caller;
//! see [`VerifiedProof::jti`] and [`VerifiedProof::expires_at`].

mod context;
mod error;
mod htu;
mod policy;
mod window;

pub(crate) use self::window::{Setting, TOKEN_LEEWAY};

pub use self::{
    context::{Ath, NonceLife, NonceStatus, ProofContext},
    error::{ProofError, ProofErrorKind},
    htu::{Htu, HtuDifference, HtuError, HtuPart, Origin},
    policy::{ProofPolicy, UnverifiedProof, VerifiedProof},
};
