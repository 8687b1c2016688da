//! DPoP proofs: parsing them and every check of RFC 9449 section 4.3.
//!
//! [`ProofVerifier`] makes those checks in this order; the signature comes last, since it costs most.
//! `grep -rn "section 4.3 item"` finds the line that makes each.
//!
//! | item | what is compared | where |
//! |---|---|---|
//! | 1 | the number of `DPoP` headers with one | [`Verifier`](crate::Verifier) |
//! | 2 | the header's value with the grammar of a compact JWS of two JSON objects | [`ProofVerifier::check`] |
//! | 3 | the names of the claims with those that section 4.2 requires | [`ProofVerifier::check`] |
//! | 4 | `typ` with `dpop+jwt` | [`ProofVerifier::check`] |
//! | 5 | `alg` with the algorithms that are allowed, all of them asymmetric | [`ProofVerifier::algorithms`] |
//! | 6 | the signature with the key in `jwk` | [`UnverifiedProof::verify_signature`] |
//! | 7 | the members of `jwk` with those that only private keys have | [`PublicJwk::from_json`](crate::jwk::PublicJwk::from_json) |
//! | 8 | `htm` with the request's method | [`ProofVerifier::check`] |
//! | 9 | `htu` with the request's URI, without query and fragment | [`Htu::difference`] |
//! | 10 | `nonce` with those that this server gave out | [`ProofContext::require_nonce`] |
//! | 11 | `iat`, or the time in the nonce, with the window of acceptance | [`ProofVerifier::max_age`] |
//! | 12 | `ath` with the hash of the access token, and the token's key with the proof's | [`ProofContext::access_token`], [`Verifier`](crate::Verifier) |
//!
//! This module does no I/O, knows no clock and keeps no state: the time, the request and what is
//! expected of it are arguments. What needs state, single use (section 11.1), is up to the caller;
//! see [`VerifiedProof::jti`] and [`VerifiedProof::expires_at`].

mod context;
mod error;
mod htu;
mod kept;
mod verify;
mod window;

pub(crate) use self::window::{Setting, TOKEN_LEEWAY};

pub use self::{
    context::{Ath, NonceLife, NonceStatus, ProofContext},
    error::{ProofError, ProofErrorKind},
    htu::{Htu, HtuDifference, HtuError, HtuPart, Origin},
    verify::{ProofVerifier, UnverifiedProof, VerifiedProof},
};
