use std::{error::Error, fmt};

use super::{HtuDifference, HtuError};
use crate::{clock::UnixTime, jwk::JwkError};

/// Why a proof was rejected, for the operator. What the client learns is much less.
///
/// Its text may be logged: it contains nothing that the caller wrote, only which check failed and
/// what is likely to be the cause.
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

/// The check that a proof failed; stable, for metrics and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProofErrorKind {
    /// The `alg` is unknown, not asymmetric or not allowed here (section 4.3 item 5).
    AlgNotAllowed,
    /// The `ath` claim is not the hash of the access token (item 12).
    AthMismatch,
    /// A critical extension (`crit`, RFC 7515 section 4.1.11) or an unencoded payload (`b64`).
    CritNotSupported,
    /// The proof says of itself that it has expired (`exp`).
    Expired,
    /// `iat` lies further in the future than the leeway (item 11).
    FromFuture,
    /// The `htm` claim is another method (item 8).
    HtmMismatch,
    /// The `htu` claim is no HTTP URI.
    HtuInvalid,
    /// The `htu` claim is another target (item 9).
    HtuMismatch,
    /// A claim is of the wrong JSON type, empty or too long (item 3).
    InvalidClaim,
    /// The `jwk` is missing, private, symmetric, malformed or too weak (items 6 and 7).
    KeyInvalid,
    /// The key is of a kind that the `alg` cannot be used with.
    KeyMismatch,
    /// Not a compact JWS whose header and payload are JSON objects (item 2).
    Malformed,
    /// There is no `DPoP` header (item 1).
    Missing,
    /// A required claim is missing (item 3).
    MissingClaim,
    /// There is more than one `DPoP` header (item 1).
    Multiple,
    /// A nonce is required and the proof has none (item 10).
    NonceMissing,
    /// The nonce is not, or no longer, one of this server's (item 10).
    NonceUnknown,
    /// The proof says of itself that it is not valid yet (`nbf`).
    NotYetValid,
    /// The proof was used before (section 11.1).
    Replayed,
    /// The signature does not verify with the key in the proof (item 6).
    SignatureInvalid,
    /// The proof is larger than anyone needs.
    TooLong,
    /// `iat` lies further in the past than the maximum age and leeway (item 11).
    TooOld,
    /// The `typ` is not `dpop+jwt` (item 4).
    TypInvalid,
}

impl ProofErrorKind {
    /// A stable code in snake case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlgNotAllowed => "proof_alg_not_allowed",
            Self::AthMismatch => "proof_ath_mismatch",
            Self::CritNotSupported => "proof_crit_not_supported",
            Self::Expired => "proof_expired",
            Self::FromFuture => "proof_from_future",
            Self::HtmMismatch => "proof_htm_mismatch",
            Self::HtuInvalid => "proof_htu_invalid",
            Self::HtuMismatch => "proof_htu_mismatch",
            Self::InvalidClaim => "proof_invalid_claim",
            Self::KeyInvalid => "proof_key_invalid",
            Self::KeyMismatch => "proof_key_mismatch",
            Self::Malformed => "proof_malformed",
            Self::Missing => "proof_missing",
            Self::MissingClaim => "proof_missing_claim",
            Self::Multiple => "proof_multiple",
            Self::NonceMissing => "proof_nonce_missing",
            Self::NonceUnknown => "proof_nonce_unknown",
            Self::NotYetValid => "proof_not_yet_valid",
            Self::Replayed => "proof_replayed",
            Self::SignatureInvalid => "proof_signature_invalid",
            Self::TooLong => "proof_too_long",
            Self::TooOld => "proof_too_old",
            Self::TypInvalid => "proof_typ_invalid",
        }
    }

    /// What went wrong in a few words that are safe to send to the client: static, without quotes
    /// or backslashes (RFC 6750 section 3).
    pub const fn description(self) -> &'static str {
        match self {
            Self::AlgNotAllowed => "the proof's alg is not allowed",
            Self::AthMismatch => "the proof's ath is not the hash of the access token",
            Self::CritNotSupported => "the proof has a critical extension",
            Self::Expired => "the proof has expired",
            Self::FromFuture => "the proof's iat is in the future",
            Self::HtmMismatch => "the proof is for another method",
            Self::HtuInvalid => "the proof's htu is not a valid URI",
            Self::HtuMismatch => "the proof is for another URI",
            Self::InvalidClaim => "a claim of the proof is invalid",
            Self::KeyInvalid => "the proof's jwk is missing or not an acceptable public key",
            Self::KeyMismatch => "the proof's jwk does not fit its alg",
            Self::Malformed => "the proof is not a well-formed JWT",
            Self::Missing => "the DPoP header is missing",
            Self::MissingClaim => "a required claim of the proof is missing",
            Self::Multiple => "there is more than one DPoP header",
            Self::NonceMissing => "the proof needs a nonce",
            Self::NonceUnknown => "the proof's nonce is no longer valid",
            Self::NotYetValid => "the proof is not valid yet",
            Self::Replayed => "the proof was used before",
            Self::SignatureInvalid => "the proof's signature is invalid",
            Self::TooLong => "the proof is too long",
            Self::TooOld => "the proof is too old",
            Self::TypInvalid => "the proof's typ is not dpop+jwt",
        }
    }
}

impl ProofError {
    /// Which check failed.
    pub const fn kind(&self) -> ProofErrorKind {
        self.kind
    }

    /// For [`HtuMismatch`](ProofErrorKind::HtuMismatch): which part of the URI differs.
    pub const fn htu_difference(&self) -> Option<&HtuDifference> {
        match &self.detail {
            Detail::Htu(difference) => Some(difference),
            _ => None,
        }
    }

    /// For [`TooOld`](ProofErrorKind::TooOld), [`FromFuture`](ProofErrorKind::FromFuture) and
    /// [`NotYetValid`](ProofErrorKind::NotYetValid): the proof's time minus this server's, in
    /// seconds.
    pub const fn clock_offset(&self) -> Option<i64> {
        match self.detail {
            Detail::Clock { offset } => Some(offset),
            _ => None,
        }
    }

    pub(super) const fn missing(claim: &'static str) -> Self {
        Self {
            kind: ProofErrorKind::MissingClaim,
            detail: Detail::Claim(claim),
        }
    }

    pub(super) const fn invalid(claim: &'static str) -> Self {
        Self {
            kind: ProofErrorKind::InvalidClaim,
            detail: Detail::Claim(claim),
        }
    }

    pub(super) const fn clock(kind: ProofErrorKind, offset: i64) -> Self {
        Self {
            kind,
            detail: Detail::Clock { offset },
        }
    }

    pub(crate) const fn too_old(issued_at: UnixTime, now: UnixTime) -> Self {
        Self::clock(ProofErrorKind::TooOld, issued_at.seconds_since(now))
    }

    /// Adds what may be the reason that the URI is another one.
    pub(crate) fn with_hint(mut self, hint: impl FnOnce() -> Option<&'static str>) -> Self {
        if let Detail::Htu(difference) = &mut self.detail {
            difference.set_hint(hint());
        }
        self
    }

    pub(super) fn htu(difference: HtuDifference) -> Self {
        Self {
            kind: ProofErrorKind::HtuMismatch,
            detail: Detail::Htu(Box::new(difference)),
        }
    }
}

impl From<ProofErrorKind> for ProofError {
    fn from(kind: ProofErrorKind) -> Self {
        Self {
            kind,
            detail: Detail::None,
        }
    }
}

impl From<JwkError> for ProofError {
    fn from(error: JwkError) -> Self {
        Self {
            kind: ProofErrorKind::KeyInvalid,
            detail: Detail::Key(error),
        }
    }
}

impl From<HtuError> for ProofError {
    fn from(error: HtuError) -> Self {
        Self {
            kind: ProofErrorKind::HtuInvalid,
            detail: Detail::HtuSyntax(error),
        }
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
