use std::fmt;

use http::Method;

use super::Htu;
use crate::{clock::UnixTime, crypto::CryptoProvider, jose::base64url};

/// The SHA-256 hash of an access token, as in the `ath` claim (RFC 9449 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ath([u8; 32]);

impl Ath {
    /// Hashes the token as it stands in the `Authorization` header.
    pub fn of(access_token: &str, crypto: &dyn CryptoProvider) -> Self {
        Self(crypto.sha256(&[access_token.as_bytes()]))
    }

    pub(super) fn parse(claim: &str) -> Option<Self> {
        base64url::decode_array(claim).map(Self)
    }

    /// Returns the bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Writes the text of the claim, which is base64url.
impl fmt::Display for Ath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

/// Hides the hash. It is not a secret, but it could be searched for in other logs.
impl fmt::Debug for Ath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ath(..)")
    }
}

/// The status of a nonce that a client sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonceStatus {
    /// The nonce is accepted.
    Current,
    /// The nonce is accepted, and the response should carry the next one.
    Retiring,
    /// The nonce is not one of this server, or is too old.
    Unknown,
}

/// The lifetime of a nonce, by the clock of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceLife {
    /// When the nonce was made. A proof with this nonce was not made earlier.
    pub made: UnixTime,
    /// The last instant at which the nonce is accepted.
    pub accepted_until: UnixTime,
}

/// The request that a proof is compared with.
///
/// ```
/// use dpop_tower::{proof::{Htu, ProofContext}, clock::UnixTime};
///
/// let htu = Htu::parse("https://server.example.com/token")?;
/// let now = UnixTime::from_secs(1_562_262_616);
/// let context = ProofContext::new(&http::Method::POST, &htu, now);
/// # Ok::<(), dpop_tower::proof::HtuError>(())
/// ```
#[derive(Clone, Copy)]
pub struct ProofContext<'a> {
    pub(super) method: &'a Method,
    pub(super) htu: &'a Htu,
    pub(super) now: UnixTime,
    pub(super) ath: Option<Ath>,
    pub(super) nonce: Option<NonceCheck<'a>>,
    pub(super) nonce_life: Option<LifeOf<'a>>,
}

/// Tells the life of a nonce that is accepted.
type LifeOf<'a> = &'a dyn Fn(&str) -> Option<NonceLife>;

#[derive(Clone, Copy)]
pub(super) struct NonceCheck<'a> {
    pub(super) status: &'a dyn Fn(&str) -> NonceStatus,
    pub(super) is_required: bool,
}

impl<'a> ProofContext<'a> {
    /// Describes a request with this method to this target, at this time, without an access token. Such
    /// requests come to the token endpoint of an authorization server.
    pub const fn new(method: &'a Method, htu: &'a Htu, now: UnixTime) -> Self {
        Self {
            method,
            htu,
            now,
            ath: None,
            nonce: None,
            nonce_life: None,
        }
    }

    /// Adds the access token of the request. The proof must have its hash (RFC 9449 section 4.3 item 12).
    #[must_use]
    pub const fn access_token(mut self, ath: Ath) -> Self {
        self.ath = Some(ath);
        self
    }

    /// Requires a nonce for which `check` does not return [`NonceStatus::Unknown`] (RFC 9449 section 4.3
    /// item 10).
    #[must_use]
    pub const fn require_nonce(mut self, check: &'a dyn Fn(&str) -> NonceStatus) -> Self {
        self.nonce = Some(NonceCheck {
            status: check,
            is_required: true,
        });
        self
    }

    /// Records what `check` returns for the nonce, if there is one, and accepts any.
    #[must_use]
    pub(crate) const fn observe_nonce(mut self, check: &'a dyn Fn(&str) -> NonceStatus) -> Self {
        self.nonce = Some(NonceCheck {
            status: check,
            is_required: false,
        });
        self
    }

    /// Uses the time in an accepted nonce in place of the client's clock.
    #[must_use]
    pub(crate) const fn nonce_life(mut self, life: LifeOf<'a>) -> Self {
        self.nonce_life = Some(life);
        self
    }
}

impl fmt::Debug for ProofContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofContext")
            .field("method", self.method)
            .field("htu", self.htu)
            .field("now", &self.now)
            .field("access_token", &self.ath.is_some())
            .field("nonce", &self.nonce.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9449_section_7_1_ath_is_the_base64url_of_the_hash_of_the_token() {
        let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        let ath = Ath::of(token, &crate::crypto::pure_rust::PureRust);
        let text = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
        assert_eq!(ath.to_string(), text);
        assert_eq!(base64url::encode(ath.as_bytes()), text);
        assert_eq!(Ath::parse(text), Some(ath));
    }
}
