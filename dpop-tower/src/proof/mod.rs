//! DPoP proofs: parsing them and every check of RFC 9449 section 4.3.
//!
//! [`ProofVerifier`] makes the checks of the proof itself, and the signature last because it costs most.
//! `grep -rn "section 4.3 item"` finds the line of each check.
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
//! This module does no I/O, reads no clock and keeps no state. The time and the request are arguments.
//! Rejecting a second use of a proof (section 11.1) needs state and is up to the caller; see
//! [`VerifiedProof::jti`] and [`VerifiedProof::expires_at`].
//!
//! Most services use [`DpopLayer`](crate::DpopLayer), [`Verifier`](crate::Verifier) or, at the token endpoint of an
//! authorization server, [`TokenEndpointLayer`](crate::token_endpoint::TokenEndpointLayer), which make these checks and
//! the ones around them. Use this module directly if none of them fits.
//!
//! # Example
//!
//! A server verifies the proof of a client, makes sure that it is new, and binds a token to its key:
//!
//! ```
//! # #[cfg(all(feature = "josekit", feature = "test-util"))] {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # use dpop_tower::test_util::TestClient;
//! use dpop_tower::{
//!     clock::{SystemClock, TimeSource},
//!     crypto::Josekit,
//!     proof::{Htu, ProofContext, ProofVerifier},
//!     replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore, UsedProof},
//! };
//!
//! # let header = TestClient::new().proof("POST", "https://idp.example.com/token").sign();
//! let used = MemoryReplayStore::new();
//! let endpoint = Htu::parse("https://idp.example.com/token")?;
//!
//! // For each request; `header` is the value of its only `DPoP` header.
//! let now = SystemClock.now();
//! let context = ProofContext::new(&http::Method::POST, &endpoint, now);
//! let proof = ProofVerifier::default().verify(&header, &context, &Josekit)?;
//!
//! let key = ReplayKey::new(*proof.thumbprint().as_bytes(), proof.jti(), &Josekit);
//! let expires_at = proof.expires_at();
//! match used.check_and_insert(UsedProof { key, now, expires_at }).await? {
//!     Freshness::Fresh => println!("bind the token to {}", proof.thumbprint()),
//!     Freshness::Replayed => println!("reject the request with `invalid_dpop_proof`"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod context;
mod error;
mod htu;
mod kept;
mod key;
mod settings;
mod verified;
mod verify;
mod window;

/// Longer proofs are rejected before they are decoded. An RSA-4096 proof has about 2.5 KiB, and an ML-DSA-87
/// proof would have 11 KiB.
const MAX_PROOF_LEN: usize = 16 * 1024;

pub(crate) use self::{
    key::{KnownKey, ProofKey, unverified_thumbprint},
    window::{DANGER, Setting, TOKEN_LEEWAY},
};

pub use self::{
    context::{Ath, NonceLife, NonceStatus, ProofContext},
    error::{ProofError, ProofErrorKind},
    htu::{Htu, HtuDifference, HtuError, HtuPart, Origin},
    settings::ProofVerifier,
    verified::{UnverifiedProof, VerifiedProof},
};
