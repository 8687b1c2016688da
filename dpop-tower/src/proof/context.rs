use std::fmt;

use http::Method;

use super::{Htu, KnownKey, ProofKey};
use crate::{clock::UnixTime, crypto::CryptoProvider, jose::base64url};

/// The SHA-256 hash of an access token, as in the `ath` claim (RFC 9449 section 4.2).
///
/// It binds a proof to one access token. `Display` writes the text of the claim, and `Debug` hides it.
///
/// ```
/// # #[cfg(feature = "josekit")] {
/// use dpop_tower::{crypto::Josekit, proof::Ath};
///
/// // The example of RFC 9449 section 7.1.
/// let ath = Ath::of("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", &Josekit);
/// assert_eq!(ath.to_string(), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ath([u8; 32]);

impl Ath {
    /// Hashes the token as it is in the `Authorization` header, after the scheme and the space.
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

/// Hides the hash. It is not a secret, but it links log lines that use the same token.
impl fmt::Debug for Ath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ath(..)")
    }
}

/// The status of a nonce that a client sent back (RFC 9449 section 8).
///
/// A [`NonceSource`](crate::nonce::NonceSource) returns it, as does the function that you give to
/// [`ProofContext::require_nonce`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonceStatus {
    /// The nonce is accepted.
    Current,
    /// The nonce is accepted, and the response should have the next one in `DPoP-Nonce`.
    Retiring,
    /// The nonce is not one of this server, or is too old. The proof is rejected with `use_dpop_nonce`.
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
/// # Security
///
/// Take the target from the configuration and the path of the request, never from `Host` or
/// `X-Forwarded-Host`, which the caller chooses. Otherwise a malicious API that receives a proof can send
/// it here under its own name. [`Origin::with_path`](super::Origin::with_path) joins a configured origin
/// with a path.
///
/// # Example
///
/// ```
/// use dpop_tower::{clock::UnixTime, proof::{Origin, ProofContext}};
///
/// let origin = Origin::parse("https://server.example.com")?;
/// let request = http::Request::post("/token?grant_type=refresh_token").body(())?;
///
/// let htu = origin.with_path(request.uri().path())?;
/// assert_eq!(htu.as_str(), "https://server.example.com/token");
/// let now = UnixTime::from_secs(1_562_262_616);
/// let context = ProofContext::new(request.method(), &htu, now);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct ProofContext<'a> {
    pub(super) method: &'a Method,
    pub(super) htu: &'a Htu,
    pub(super) now: UnixTime,
    pub(super) ath: Option<Ath>,
    pub(super) nonce: Option<NonceCheck<'a>>,
    pub(super) nonce_life: Option<LifeOf<'a>>,
    pub(super) known_key: Option<KnownKeyOf<'a>>,
}

/// Returns the lifetime of an accepted nonce.
type LifeOf<'a> = &'a dyn Fn(&str) -> Option<NonceLife>;

/// Returns what was computed from a key before.
type KnownKeyOf<'a> = &'a dyn Fn(&ProofKey) -> Option<KnownKey>;

#[derive(Clone, Copy)]
pub(super) struct NonceCheck<'a> {
    pub(super) status: &'a dyn Fn(&str) -> NonceStatus,
    pub(super) is_required: bool,
    pub(super) needs_good: bool,
}

impl<'a> ProofContext<'a> {
    /// Describes a request with this method to this target, received at `now`, without an access token.
    ///
    /// The token endpoint of an authorization server receives such requests. A resource server also calls
    /// [`access_token`](Self::access_token).
    pub const fn new(method: &'a Method, htu: &'a Htu, now: UnixTime) -> Self {
        Self {
            method,
            htu,
            now,
            ath: None,
            nonce: None,
            nonce_life: None,
            known_key: None,
        }
    }

    /// Adds the access token of the request. The proof must have its hash (RFC 9449 section 4.3 item 12).
    ///
    /// Without this, an `ath` in the proof is ignored. Then a proof can be used with any token that is bound
    /// to the same key.
    #[must_use]
    pub const fn access_token(mut self, ath: Ath) -> Self {
        self.ath = Some(ath);
        self
    }

    /// Requires a nonce for which `check` does not return [`NonceStatus::Unknown`] (RFC 9449 section 4.3
    /// item 10).
    ///
    /// A proof without a nonce fails with [`NonceMissing`](super::ProofErrorKind::NonceMissing), and one with
    /// another nonce with [`NonceUnknown`](super::ProofErrorKind::NonceUnknown). Both tell the client to
    /// repeat the request with the nonce in the `DPoP-Nonce` header of the response.
    ///
    /// ```
    /// # #[cfg(all(feature = "josekit", feature = "test-util"))] {
    /// # use dpop_tower::{clock::{SystemClock, TimeSource}, test_util::TestClient};
    /// use dpop_tower::{
    ///     crypto::Josekit,
    ///     nonce::{NonceContext, NonceSecret, NonceSource, NonceStatus, StatelessNonces},
    ///     proof::{Htu, ProofContext, ProofErrorKind, ProofVerifier},
    /// };
    ///
    /// # let client = TestClient::new();
    /// # let now = SystemClock.now();
    /// let nonces = StatelessNonces::new(NonceSecret::random()?);
    /// let at = NonceContext::new(now, &Josekit);
    /// let check = |nonce: &str| nonces.check(nonce, &at);
    /// let htu = Htu::parse("https://idp.example.com/token")?;
    /// let context = ProofContext::new(&http::Method::POST, &htu, now).require_nonce(&check);
    /// let verifier = ProofVerifier::default();
    ///
    /// let first = client.proof("POST", htu.as_str()).sign();
    /// let error = verifier.verify(&first, &context, &Josekit).unwrap_err();
    /// assert_eq!(error.kind(), ProofErrorKind::NonceMissing);
    ///
    /// // The response has `error="use_dpop_nonce"` and this nonce.
    /// let nonce = nonces.current(&at);
    /// let second = client.proof("POST", htu.as_str()).nonce(&nonce).sign();
    /// let proof = verifier.verify(&second, &context, &Josekit)?;
    /// assert_eq!(proof.nonce_status(), Some(NonceStatus::Current));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn require_nonce(mut self, check: &'a dyn Fn(&str) -> NonceStatus) -> Self {
        self.nonce = Some(NonceCheck {
            status: check,
            is_required: true,
            needs_good: true,
        });
        self
    }

    /// Records the result of `check` for the nonce, if there is one. A proof with an unknown nonce fails if
    /// `needs_good` is `true`.
    #[must_use]
    pub(crate) const fn observe_nonce(
        mut self,
        check: &'a dyn Fn(&str) -> NonceStatus,
        needs_good: bool,
    ) -> Self {
        self.nonce = Some(NonceCheck {
            status: check,
            is_required: false,
            needs_good,
        });
        self
    }

    /// Uses the time in an accepted nonce instead of the client's clock.
    #[must_use]
    pub(crate) const fn nonce_life(mut self, life: LifeOf<'a>) -> Self {
        self.nonce_life = Some(life);
        self
    }

    /// Takes the thumbprint of a known key, and the prepared key, from a cache.
    #[must_use]
    pub(crate) const fn known_key(mut self, known: KnownKeyOf<'a>) -> Self {
        self.known_key = Some(known);
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
