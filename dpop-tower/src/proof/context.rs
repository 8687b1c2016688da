use std::fmt;

use http::Method;

use super::Htu;
use crate::{clock::UnixTime, crypto::CryptoProvider, jose::base64url};

/// The SHA-256 hash of an access token: what the `ath` claim carries (RFC 9449 section 4.2).
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

    /// The bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The text of the claim: base64url.
impl fmt::Display for Ath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

/// A hash of a token is no secret, but it could be looked for in other logs.
impl fmt::Debug for Ath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ath(..)")
    }
}

/// What a server thinks of a nonce that came back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonceStatus {
    /// Accepted, and will be for a while.
    Current,
    /// Accepted, but the client should be given the next one with the response.
    Retiring,
    /// Never given out, or too long ago.
    Unknown,
}

/// When a nonce was made, and when it is accepted for the last time, by the clock of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceLife {
    /// A proof with this nonce was not made before.
    pub made: UnixTime,
    /// Inclusive.
    pub accepted_until: UnixTime,
}

/// The request that a proof has to be for.
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
    /// A request with this method to this target, at this time, without an access token: what an
    /// authorization server's token endpoint sees.
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

    /// The request carries this access token, so the proof must have its hash (RFC 9449 section 4.3
    /// item 12).
    #[must_use]
    pub const fn access_token(mut self, ath: Ath) -> Self {
        self.ath = Some(ath);
        self
    }

    /// The proof must have a nonce, and `check` must not call it unknown (RFC 9449 section 4.3
    /// item 10).
    #[must_use]
    pub const fn require_nonce(mut self, check: &'a dyn Fn(&str) -> NonceStatus) -> Self {
        self.nonce = Some(NonceCheck {
            status: check,
            is_required: true,
        });
        self
    }

    /// The proof may have a nonce. What `check` says of it is recorded, whatever it is.
    #[must_use]
    pub(crate) const fn observe_nonce(mut self, check: &'a dyn Fn(&str) -> NonceStatus) -> Self {
        self.nonce = Some(NonceCheck {
            status: check,
            is_required: false,
        });
        self
    }

    /// A nonce that is accepted says when the proof was made, in place of the client's clock.
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
