use std::{error::Error, fmt};

use super::{HtuDifference, HtuError};
use crate::{clock::UnixTime, jwk::JwkError, reason::reasons};

/// The reason why a proof was rejected, for the operator. The client learns much less.
///
/// You can log its text. It contains nothing that the caller wrote, only the check that failed and the
/// likely cause.
///
/// ```
/// # #[cfg(all(feature = "josekit", feature = "test-util"))] {
/// # use dpop_tower::{clock::{SystemClock, TimeSource}, test_util::TestClient};
/// use std::time::Duration;
/// use dpop_tower::{
///     crypto::Josekit,
///     proof::{Htu, ProofContext, ProofErrorKind, ProofVerifier},
///     rejection::RejectionKind,
/// };
///
/// # let header = TestClient::new().proof("POST", "https://idp.example.com/token").sign();
/// let htu = Htu::parse("https://idp.example.com/token")?;
/// let later = SystemClock.now().saturating_add(Duration::from_secs(300));
/// let context = ProofContext::new(&http::Method::POST, &htu, later);
/// let error = ProofVerifier::default().verify(&header, &context, &Josekit).unwrap_err();
///
/// match error.kind() {
///     ProofErrorKind::TooOld => assert!(error.clock_offset() <= Some(-300)),
///     other => panic!("{other}"),
/// }
/// // The client learns this:
/// assert_eq!(RejectionKind::from(error.kind()), RejectionKind::InvalidDpopProof);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ProofError {
    kind: ProofErrorKind,
    detail: Detail,
}

#[derive(Clone)]
enum Detail {
    None,
    Claim(&'static str),
    Clock { offset: i64 },
    Htu(Box<HtuDifference>),
    HtuSyntax(HtuError),
    Key(JwkError),
}

reasons! {
    /// The check that a proof failed.
    ///
    /// Its code, which [`as_str`](Self::as_str) returns, is stable, so you can use it in metrics and tests.
    /// Item numbers are those of RFC 9449 section 4.3.
    pub enum ProofErrorKind {
        /// The `alg` is unknown, not asymmetric or not allowed here (section 4.3 item 5).
        AlgNotAllowed = "proof_alg_not_allowed", InvalidDpopProof,
            "the proof's alg is not allowed";
        /// The `ath` claim is not the hash of the access token (item 12).
        AthMismatch = "proof_ath_mismatch", InvalidDpopProof,
            "the proof's ath is not the hash of the access token";
        /// A critical extension (`crit`, RFC 7515 section 4.1.11) or an unencoded payload (`b64`).
        CritNotSupported = "proof_crit_not_supported", InvalidDpopProof,
            "the proof has a critical extension";
        /// The proof has an `exp` that has passed.
        Expired = "proof_expired", InvalidDpopProof,
            "the proof has expired";
        /// The proof may have been used before the replay store lost its records (section 11.1), and has no nonce
        /// from after that; see [the fence](crate::replay#the-fence).
        Fenced = "proof_fenced", UseDpopNonce,
            "the proof may have been used before a restart",
            logged as "the proof may have been used before the replay store lost its records";
        /// The `iat` is further in the future than the leeway allows (item 11).
        FromFuture = "proof_from_future", InvalidDpopProof,
            "the proof's iat is in the future";
        /// The `htm` claim is another method (item 8).
        HtmMismatch = "proof_htm_mismatch", InvalidDpopProof,
            "the proof is for another method";
        /// The `htu` claim is not an HTTP URI.
        HtuInvalid = "proof_htu_invalid", InvalidDpopProof,
            "the proof's htu is not a valid URI";
        /// The `htu` claim is another target (item 9).
        HtuMismatch = "proof_htu_mismatch", InvalidDpopProof,
            "the proof is for another URI";
        /// A claim has the wrong JSON type, is empty or is too long (item 3).
        InvalidClaim = "proof_invalid_claim", InvalidDpopProof,
            "a claim of the proof is invalid";
        /// The `jwk` is missing, private, symmetric, malformed or too weak (items 6 and 7).
        KeyInvalid = "proof_key_invalid", InvalidDpopProof,
            "the proof's jwk is missing or not an acceptable public key";
        /// The key is of another kind than the `alg` requires.
        KeyMismatch = "proof_key_mismatch", InvalidDpopProof,
            "the proof's jwk does not fit its alg";
        /// The proof is not a compact JWS whose header and payload are JSON objects (item 2).
        Malformed = "proof_malformed", InvalidDpopProof,
            "the proof is not a well-formed JWT";
        /// There is no `DPoP` header (item 1).
        Missing = "proof_missing", InvalidDpopProof,
            "the DPoP header is missing";
        /// A required claim is missing (item 3).
        MissingClaim = "proof_missing_claim", InvalidDpopProof,
            "a required claim of the proof is missing";
        /// There is more than one `DPoP` header (item 1).
        Multiple = "proof_multiple", InvalidDpopProof,
            "there is more than one DPoP header";
        /// A nonce is required and the proof has none (item 10).
        NonceMissing = "proof_nonce_missing", UseDpopNonce,
            "the proof needs a nonce";
        /// The nonce is not from this server, or is too old (item 10).
        NonceUnknown = "proof_nonce_unknown", UseDpopNonce,
            "the proof's nonce is no longer valid";
        /// The proof has an `nbf` in the future.
        NotYetValid = "proof_not_yet_valid", InvalidDpopProof,
            "the proof is not valid yet";
        /// The proof was used before (section 11.1).
        Replayed = "proof_replayed", InvalidDpopProof,
            "the proof was used before";
        /// The signature does not verify with the key in the proof (item 6).
        SignatureInvalid = "proof_signature_invalid", InvalidDpopProof,
            "the proof's signature is invalid";
        /// The proof is longer than 16 KiB.
        TooLong = "proof_too_long", InvalidDpopProof,
            "the proof is too long";
        /// The `iat` is further in the past than the maximum age and the leeway allow (item 11).
        TooOld = "proof_too_old", InvalidDpopProof,
            "the proof is too old";
        /// The `typ` is not `dpop+jwt` (item 4).
        TypInvalid = "proof_typ_invalid", InvalidDpopProof,
            "the proof's typ is not dpop+jwt";
    }
}

impl ProofError {
    /// Returns the check that failed.
    pub const fn kind(&self) -> ProofErrorKind {
        self.kind
    }

    /// Returns the part of the URI that differs, for [`HtuMismatch`](ProofErrorKind::HtuMismatch).
    pub const fn htu_difference(&self) -> Option<&HtuDifference> {
        match &self.detail {
            Detail::Htu(difference) => Some(difference),
            _ => None,
        }
    }

    /// Returns the proof's time minus this server's in seconds, for [`TooOld`](ProofErrorKind::TooOld),
    /// [`FromFuture`](ProofErrorKind::FromFuture) and [`NotYetValid`](ProofErrorKind::NotYetValid).
    ///
    /// It is negative if the client's clock is behind, or if the proof was kept for a while.
    pub const fn clock_offset(&self) -> Option<i64> {
        match self.detail {
            Detail::Clock { offset } => Some(offset),
            _ => None,
        }
    }

    const fn new(kind: ProofErrorKind, detail: Detail) -> Self {
        Self { kind, detail }
    }

    pub(super) const fn missing(claim: &'static str) -> Self {
        Self::new(ProofErrorKind::MissingClaim, Detail::Claim(claim))
    }

    pub(super) const fn invalid(claim: &'static str) -> Self {
        Self::new(ProofErrorKind::InvalidClaim, Detail::Claim(claim))
    }

    pub(super) const fn clock(kind: ProofErrorKind, offset: i64) -> Self {
        Self::new(kind, Detail::Clock { offset })
    }

    pub(crate) const fn too_old(issued_at: UnixTime, now: UnixTime) -> Self {
        Self::clock(ProofErrorKind::TooOld, issued_at.seconds_since(now))
    }

    /// Adds a likely reason for the difference between the URIs.
    pub(crate) fn with_hint(mut self, hint: impl FnOnce() -> Option<&'static str>) -> Self {
        if let Detail::Htu(difference) = &mut self.detail {
            difference.hint = hint();
        }
        self
    }

    pub(super) fn htu(difference: HtuDifference) -> Self {
        let detail = Detail::Htu(Box::new(difference));
        Self::new(ProofErrorKind::HtuMismatch, detail)
    }
}

impl From<ProofErrorKind> for ProofError {
    fn from(kind: ProofErrorKind) -> Self {
        Self::new(kind, Detail::None)
    }
}

impl From<JwkError> for ProofError {
    fn from(error: JwkError) -> Self {
        Self::new(ProofErrorKind::KeyInvalid, Detail::Key(error))
    }
}

impl From<HtuError> for ProofError {
    fn from(error: HtuError) -> Self {
        Self::new(ProofErrorKind::HtuInvalid, Detail::HtuSyntax(error))
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.description())?;
        match &self.detail {
            Detail::None => Ok(()),
            Detail::Claim(claim) => write!(f, ": {claim}"),
            Detail::Clock { offset } if offset.is_negative() => write!(
                f,
                ": offset {offset:+} s, so the client's clock is behind this server's or the proof \
                 was kept for a while"
            ),
            Detail::Clock { offset } => write!(
                f,
                ": offset {offset:+} s, so the client's clock is ahead of this server's"
            ),
            Detail::Htu(difference) => write!(f, ": {difference}"),
            Detail::HtuSyntax(error) => write!(f, ": {error}"),
            Detail::Key(error) => write!(f, ": {error}"),
        }
    }
}

impl fmt::Debug for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProofError({:?}: {self})", self.kind)
    }
}

impl Error for ProofError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::Htu;

    #[test]
    fn the_offset_of_the_clock_is_told_with_its_sign_and_its_likely_cause() {
        for (offset, told, cause) in [(-71, "-71 s", "is behind"), (11, "+11 s", "is ahead")] {
            let error = ProofError::clock(ProofErrorKind::TooOld, offset);
            assert_eq!(error.clock_offset(), Some(offset));
            let text = error.to_string();
            assert!(text.contains(told) && text.contains(cause), "{text}");
        }
        assert_eq!(ProofError::missing("iat").clock_offset(), None);
    }

    #[test]
    fn the_difference_of_the_targets_is_kept_and_told() {
        let htu = |uri| Htu::parse(uri).unwrap();
        let difference = htu("https://a/b").difference(&htu("https://a/b/")).unwrap();
        let error = ProofError::htu(difference.clone());
        assert_eq!(error.htu_difference(), Some(&difference));
        assert!(error.to_string().ends_with(&difference.to_string()));
        assert_eq!(
            ProofError::from(ProofErrorKind::HtuInvalid).htu_difference(),
            None
        );
    }

    #[test]
    fn what_makes_a_target_no_uri_is_told() {
        let text = ProofError::from(HtuError::UserInfo).to_string();
        assert!(text.ends_with(": uri contains user information"), "{text}");
    }
}
