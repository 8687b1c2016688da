use std::{fmt, time::Duration};

use super::{
    Ath, Htu, NonceLife, NonceStatus, ProofContext, ProofError, ProofErrorKind,
    kept::Kept,
    window::{LEEWAY, MAX_AGE, Setting},
};
use crate::{
    clock::UnixTime,
    crypto::{Algorithm, CryptoProvider, PreparedKey},
    error::ConfigError,
    jose::{
        compact::CompactJws,
        header::{self, HeaderError},
        json::{InvalidDate, Object, Value, date},
    },
    jwk::{PublicJwk, Thumbprint},
};

/// Longer proofs are rejected before they are decoded. An RSA-4096 proof has about 2.5 KiB, and an ML-DSA-87
/// proof would have 11 KiB.
const MAX_PROOF_LEN: usize = 16 * 1024;

/// A `jti` needs 96 bits of randomness or a UUID (RFC 9449 section 4.2), which is much shorter.
const MAX_JTI_LEN: usize = 256;

/// The checks of RFC 9449 section 4.3, with the allowed algorithms and the acceptance window.
///
/// The default allows [`Algorithm::DEFAULT`], a maximum age of 60 seconds and a leeway of 10 seconds
/// for the difference between two clocks. The age counts from `iat`, so a proof is accepted while
/// `now - 70 s <= iat <= now + 10 s`.
///
/// # Security
///
/// The verifier keeps no state, so it accepts the same proof again until it is too old. Pass the
/// [`VerifiedProof`] to a [`ReplayStore`](crate::replay::ReplayStore) if a proof must be used only once
/// (RFC 9449 section 11.1).
///
/// # Example
///
/// ```
/// # #[cfg(feature = "josekit")] {
/// use dpop_tower::{crypto::Josekit, proof::{Ath, Htu, ProofContext, ProofVerifier}, clock::UnixTime};
///
/// // The example of RFC 9449 section 7.1.
/// let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
///     VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
///     nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
///     QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj\
///     oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z\
///     WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF\
///     c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E\
///     OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
/// let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
///
/// let htu = Htu::parse("https://resource.example.org/protectedresource").unwrap();
/// let now = UnixTime::from_secs(1_562_262_620);
/// let context =
///     ProofContext::new(&http::Method::GET, &htu, now).access_token(Ath::of(token, &Josekit));
/// let proof = ProofVerifier::default().verify(proof, &context, &Josekit).unwrap();
/// assert_eq!(proof.thumbprint().to_string(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProofVerifier {
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    leeway: Duration,
}

impl Default for ProofVerifier {
    fn default() -> Self {
        Self {
            algorithms: Algorithm::DEFAULT.to_vec(),
            max_age: Duration::from_secs(60),
            leeway: Duration::from_secs(10),
        }
    }
}

impl ProofVerifier {
    /// Sets the allowed algorithms in order of preference. Challenges advertise them in this order.
    ///
    /// Defaults to [`Algorithm::DEFAULT`]. With an empty list, every proof is rejected with
    /// [`ProofErrorKind::AlgNotAllowed`].
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Sets the maximum age of a proof: whole seconds, from one second to 10 minutes. Defaults to 60 seconds.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    ///
    /// ```
    /// use std::time::Duration;
    /// use dpop_tower::{ConfigErrorKind, proof::ProofVerifier};
    ///
    /// let verifier = ProofVerifier::default().max_age(Duration::from_secs(30))?;
    ///
    /// let an_hour = Duration::from_secs(60 * 60);
    /// let error = verifier.max_age(an_hour).unwrap_err();
    /// assert_eq!(error.kind(), ConfigErrorKind::Window);
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn max_age(self, max_age: Duration) -> Result<Self, ConfigError> {
        self.with_max_age(Setting::Plain(max_age))
    }

    /// Sets the maximum age as [`max_age`](Self::max_age) does, up to one day.
    ///
    /// # Security
    ///
    /// A copied proof that was not used yet is valid for this long, and a used one has to be remembered
    /// for as long (RFC 9449 section 11.1).
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    pub fn danger_max_age(self, max_age: Duration) -> Result<Self, ConfigError> {
        self.with_max_age(Setting::Danger(max_age))
    }

    /// Sets how far the client's clock may be off in either direction: whole seconds, up to 60. Defaults to
    /// 10 seconds.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    pub fn leeway(self, leeway: Duration) -> Result<Self, ConfigError> {
        self.with_leeway(Setting::Plain(leeway))
    }

    /// Sets the leeway as [`leeway`](Self::leeway) does, up to one hour.
    ///
    /// # Security
    ///
    /// An attacker who can use the key for a moment can make proofs that are valid this much later. The
    /// FAPI 2.0 Security Profile requires servers to reject an `iat` that is more than 60 seconds ahead.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else.
    pub fn danger_leeway(self, leeway: Duration) -> Result<Self, ConfigError> {
        self.with_leeway(Setting::Danger(leeway))
    }

    pub(crate) fn with_max_age(mut self, max_age: Setting) -> Result<Self, ConfigError> {
        self.max_age = MAX_AGE.check(max_age)?;
        Ok(self)
    }

    pub(crate) fn with_leeway(mut self, leeway: Setting) -> Result<Self, ConfigError> {
        self.leeway = LEEWAY.check(leeway)?;
        Ok(self)
    }

    pub(crate) fn allowed_algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    pub(crate) const fn window(&self) -> (Duration, Duration) {
        (self.max_age, self.leeway)
    }

    /// Makes every check of RFC 9449 section 4.3 that concerns the proof itself, the signature last.
    ///
    /// The caller has to check that there is only one `DPoP` header (item 1), that the access token is
    /// bound to the key (item 12), and that the proof was not used before. The last two come after this
    /// call, with [`VerifiedProof::thumbprint`] and [`VerifiedProof::jti`].
    ///
    /// # Errors
    ///
    /// Returns a [`ProofError`] with the first check that failed.
    pub fn verify(
        &self,
        proof: &str,
        context: &ProofContext<'_>,
        crypto: &dyn CryptoProvider,
    ) -> Result<VerifiedProof, ProofError> {
        let proof = self.check(proof, context, crypto)?;
        let key = proof.prepare_key(crypto)?;
        proof.verify_signature(&key)
    }

    /// Makes every check of [`verify`](Self::verify) except that of the signature. `crypto` hashes the key.
    ///
    /// Use it if you can reject a request before the expensive check, or if you keep prepared keys.
    ///
    /// # Errors
    ///
    /// Returns a [`ProofError`] with the first check that failed.
    ///
    /// # Example
    ///
    /// A server keeps the prepared keys of its clients. Only a key with a valid signature is kept, so a
    /// stranger cannot fill the map:
    ///
    /// ```
    /// # #[cfg(all(feature = "josekit", feature = "test-util"))] {
    /// # use dpop_tower::{clock::{SystemClock, TimeSource}, test_util::TestClient};
    /// use std::collections::HashMap;
    /// use dpop_tower::{
    ///     crypto::{Josekit, PreparedKey},
    ///     proof::{Htu, ProofContext, ProofError, ProofVerifier, VerifiedProof},
    /// };
    ///
    /// type Keys = HashMap<(dpop_tower::jwk::Thumbprint, dpop_tower::crypto::Algorithm), PreparedKey>;
    ///
    /// fn verify(
    ///     keys: &mut Keys,
    ///     header: &str,
    ///     context: &ProofContext<'_>,
    /// ) -> Result<VerifiedProof, ProofError> {
    ///     let proof = ProofVerifier::default().check(header, context, &Josekit)?;
    ///     let id = (*proof.thumbprint(), proof.algorithm());
    ///     let key = match keys.get(&id) {
    ///         Some(key) => PreparedKey::clone(key),
    ///         None => proof.prepare_key(&Josekit)?,
    ///     };
    ///     let proof = proof.verify_signature(&key)?;
    ///     keys.insert(id, key);
    ///     Ok(proof)
    /// }
    ///
    /// # let client = TestClient::new();
    /// let htu = Htu::parse("https://idp.example.com/token")?;
    /// let now = SystemClock.now();
    /// let context = ProofContext::new(&http::Method::POST, &htu, now);
    /// let mut keys = Keys::new();
    /// for _ in 0..2 {
    ///     let header = client.proof("POST", "https://idp.example.com/token").sign();
    ///     let proof = verify(&mut keys, &header, &context)?;
    ///     assert_eq!(*proof.thumbprint(), client.thumbprint());
    /// }
    /// assert_eq!(keys.len(), 1);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(
        &self,
        proof: &str,
        context: &ProofContext<'_>,
        crypto: &dyn CryptoProvider,
    ) -> Result<UnverifiedProof, ProofError> {
        if proof.len() > MAX_PROOF_LEN {
            return Err(ProofErrorKind::TooLong.into());
        }
        // RFC 9449 section 4.3 item 2
        let jws = CompactJws::decode(proof).ok_or(ProofErrorKind::Malformed)?;
        let header = jws.header().ok_or(ProofErrorKind::Malformed)?;
        let payload = jws.payload().ok_or(ProofErrorKind::Malformed)?;
        let required = Required::of(&payload, context);
        let (algorithm, key) = self.check_header(&header)?;
        // For another kind of JWT, the error about its `typ` is clearer than one about missing claims.
        let required = required?;
        let claims = self.check_claims(&required, &payload, context)?;
        Ok(UnverifiedProof {
            algorithm,
            thumbprint: Thumbprint::of(&key, crypto),
            key,
            claims,
            kept: Kept::new(jws.signing_input(), jws.signature(), required.jti),
        })
    }

    /// Checks items 4, 5 and 7 of RFC 9449 section 4.3.
    fn check_header(&self, header: &Object<'_>) -> Result<(Algorithm, PublicJwk), ProofError> {
        let typ_is_accepted =
            |typ: Option<&Value<'_>>| typ.and_then(Value::as_str) == Some("dpop+jwt");
        let algorithm = header::check(header, typ_is_accepted, &self.algorithms)?;
        let key = header
            .get("jwk")
            .and_then(Value::as_object)
            .ok_or(ProofErrorKind::KeyInvalid)?;
        // This checks item 7, because only public keys parse.
        let key = PublicJwk::from_object(key)?;
        if !key.fits(algorithm) {
            return Err(ProofErrorKind::KeyMismatch.into());
        }
        Ok((algorithm, key))
    }

    /// Checks items 8 to 12 of RFC 9449 section 4.3, as far as they concern the proof alone.
    fn check_claims(
        &self,
        required: &Required<'_>,
        claims: &Object<'_>,
        context: &ProofContext<'_>,
    ) -> Result<Claims, ProofError> {
        // RFC 9449 section 4.3 item 8
        if required.htm != context.method.as_str() {
            return Err(ProofErrorKind::HtmMismatch.into());
        }
        // Normalised text parses to itself, so equal texts need no parsing.
        // RFC 9449 section 4.3 item 9
        if required.htu != context.htu.as_str()
            && let Some(difference) = context.htu.difference(&Htu::parse(required.htu)?)
        {
            return Err(ProofError::htu(difference));
        }
        let nonce_status = check_nonce(claims, context);
        let status = nonce_status.as_ref().map_or(None, |status| *status);
        let (issued_at, expires_at) = match life_by_nonce(claims, status, context) {
            None => self.check_times(required.iat, claims, context.now)?,
            Some(life) => (life.made, life.accepted_until),
        };
        // The times come first, because a nonce does not help a client with a wrong clock.
        let nonce_status = nonce_status?;
        if let Some((ath, expected)) = required.ath.zip(context.ath) {
            // RFC 9449 section 4.3 item 12
            if Ath::parse(ath) != Some(expected) {
                return Err(ProofErrorKind::AthMismatch.into());
            }
        }
        Ok(Claims {
            issued_at,
            expires_at,
            nonce_status,
        })
    }

    /// Returns when the proof was made, and the last instant at which it is accepted.
    fn check_times(
        &self,
        iat: UnixTime,
        claims: &Object<'_>,
        now: UnixTime,
    ) -> Result<(UnixTime, UnixTime), ProofError> {
        let latest = now.saturating_add(self.leeway);
        // RFC 9449 section 4.3 item 11
        if iat > latest {
            let offset = iat.seconds_since(now);
            return Err(ProofError::clock(ProofErrorKind::FromFuture, offset));
        }
        let expires_at = iat.saturating_add(self.max_age).saturating_add(self.leeway);
        // At the last instant the clock is broken, and no `iat` is recent.
        if expires_at < now || now == UnixTime::END {
            return Err(ProofError::too_old(iat, now));
        }
        // RFC 9449 section 4.2 allows other claims. These two have a meaning in every JWT.
        if let Some(nbf) = date(claims, "nbf")?.filter(|nbf| *nbf > latest) {
            let offset = nbf.seconds_since(now);
            return Err(ProofError::clock(ProofErrorKind::NotYetValid, offset));
        }
        if date(claims, "exp")?.is_some_and(|exp| exp.saturating_add(self.leeway) <= now) {
            return Err(ProofErrorKind::Expired.into());
        }
        Ok((iat, expires_at))
    }
}

/// The claims that RFC 9449 section 4.2 requires. All are present and have the right JSON type.
struct Required<'c> {
    jti: &'c str,
    htm: &'c str,
    htu: &'c str,
    iat: UnixTime,
    /// Required if the request has an access token.
    ath: Option<&'c str>,
}

impl<'c> Required<'c> {
    fn of(claims: &'c Object<'_>, context: &ProofContext<'_>) -> Result<Self, ProofError> {
        let jti = required_text(claims, "jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI_LEN {
            return Err(ProofError::invalid("jti"));
        }
        Ok(Self {
            jti,
            htm: required_text(claims, "htm")?,
            htu: required_text(claims, "htu")?,
            iat: date(claims, "iat")?.ok_or(ProofError::missing("iat"))?,
            ath: match context.ath {
                Some(_) => Some(required_text(claims, "ath")?),
                None => None,
            },
        })
    }
}

struct Claims {
    issued_at: UnixTime,
    expires_at: UnixTime,
    nonce_status: Option<NonceStatus>,
}

fn required_text<'c>(claims: &'c Object<'_>, name: &'static str) -> Result<&'c str, ProofError> {
    match claims.get(name) {
        // RFC 9449 section 4.3 item 3
        None => Err(ProofError::missing(name)),
        Some(value) => value.as_str().ok_or(ProofError::invalid(name)),
    }
}

impl From<InvalidDate> for ProofError {
    fn from(InvalidDate(name): InvalidDate) -> Self {
        Self::invalid(name)
    }
}

impl From<HeaderError> for ProofError {
    fn from(error: HeaderError) -> Self {
        Self::from(match error {
            HeaderError::Typ => ProofErrorKind::TypInvalid,
            HeaderError::Crit => ProofErrorKind::CritNotSupported,
            HeaderError::Alg => ProofErrorKind::AlgNotAllowed,
        })
    }
}

/// Returns the lifetime that the proof has by its nonce, if the configuration uses that (RFC 9449 section
/// 11.1). `exp` and `nbf` come from the client's clock like `iat`, so they do not count then.
fn life_by_nonce(
    claims: &Object<'_>,
    status: Option<NonceStatus>,
    context: &ProofContext<'_>,
) -> Option<NonceLife> {
    let nonce = claims.get("nonce")?.as_str()?;
    let life = context.nonce_life?;
    let is_accepted = status? != NonceStatus::Unknown;
    let life = life(nonce).filter(|_| is_accepted)?;
    // RFC 9449 section 4.3 item 11, by this server's clock. At the last instant that clock is broken.
    (context.now <= life.accepted_until && context.now != UnixTime::END).then_some(life)
}

fn check_nonce(
    claims: &Object<'_>,
    context: &ProofContext<'_>,
) -> Result<Option<NonceStatus>, ProofError> {
    let nonce = match claims.get("nonce") {
        None => None,
        Some(value) => Some(value.as_str().ok_or(ProofError::invalid("nonce"))?),
    };
    let Some(check) = context.nonce else {
        return Ok(None);
    };
    // RFC 9449 section 4.3 item 10
    match (nonce.map(check.status), check.is_required) {
        (None, true) => Err(ProofErrorKind::NonceMissing.into()),
        (Some(NonceStatus::Unknown), true) => Err(ProofErrorKind::NonceUnknown.into()),
        (status, _) => Ok(status),
    }
}

/// A proof whose claims match this request but whose signature has not been verified.
///
/// [`ProofVerifier::check`] returns it, and [`verify_signature`](Self::verify_signature) turns it into a
/// [`VerifiedProof`].
///
/// # Security
///
/// Anyone can write such a proof with the public key of another client. Do not act on its thumbprint before
/// the signature is verified, except to reject the request.
#[must_use = "nothing is proved until the signature is verified"]
pub struct UnverifiedProof {
    algorithm: Algorithm,
    thumbprint: Thumbprint,
    key: PublicJwk,
    claims: Claims,
    kept: Kept,
}

impl UnverifiedProof {
    /// Returns the thumbprint of the key that the proof claims to be signed with.
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns the algorithm that the proof claims to be signed with. It is allowed and fits the key.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns when the proof claims to be made (`iat`), which is within the window.
    pub const fn issued_at(&self) -> UnixTime {
        self.claims.issued_at
    }

    /// Prepares the proof's key with `crypto`.
    ///
    /// Preparing a key can cost as much as verifying a signature, so a server that sees the same clients
    /// again can keep the result.
    ///
    /// # Errors
    ///
    /// Returns [`ProofErrorKind::KeyInvalid`] if it is not a valid key, such as a point that is not on its
    /// curve.
    pub fn prepare_key(&self, crypto: &dyn CryptoProvider) -> Result<PreparedKey, ProofError> {
        crypto
            .prepare(&self.key, self.algorithm)
            .map_err(|_| ProofErrorKind::KeyInvalid.into())
    }

    /// Verifies the signature with the key that [`prepare_key`](Self::prepare_key) returned for this proof,
    /// or for another one with the same [`thumbprint`](Self::thumbprint) and
    /// [`algorithm`](Self::algorithm).
    ///
    /// # Errors
    ///
    /// Returns [`ProofErrorKind::SignatureInvalid`] if the signature is not that of the key.
    pub fn verify_signature(self, key: &PreparedKey) -> Result<VerifiedProof, ProofError> {
        // RFC 9449 section 4.3 item 6
        key.verify(self.kept.signing_input(), self.kept.signature())
            .map_err(|_| ProofErrorKind::SignatureInvalid)?;
        Ok(self.with_known_signature())
    }

    /// Skips the signature of a proof of which the same bytes were verified before.
    pub(crate) fn with_known_signature(self) -> VerifiedProof {
        VerifiedProof {
            thumbprint: self.thumbprint,
            algorithm: self.algorithm,
            claims: self.claims,
            kept: self.kept,
        }
    }
}

impl fmt::Debug for UnverifiedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedProof")
            .field("algorithm", &self.algorithm)
            .field("key", &self.key)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// A proof that passed every check of RFC 9449 section 4.3 that concerns the proof itself.
///
/// It may have been used before. To reject replays, record its [`thumbprint`](Self::thumbprint) and
/// [`jti`](Self::jti) until [`expires_at`](Self::expires_at), for example in a
/// [`ReplayStore`](crate::replay::ReplayStore).
pub struct VerifiedProof {
    thumbprint: Thumbprint,
    algorithm: Algorithm,
    claims: Claims,
    kept: Kept,
}

impl VerifiedProof {
    /// Returns the thumbprint of the key that signed the proof.
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns the algorithm of the signature.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the identifier of the proof, at most 256 bytes, which is unique among the proofs of a key.
    pub fn jti(&self) -> &str {
        self.kept.jti()
    }

    /// Returns when the proof was made (`iat`).
    pub const fn issued_at(&self) -> UnixTime {
        self.claims.issued_at
    }

    /// Returns the last instant at which the proof could be accepted. Its `jti` has to be remembered until
    /// then (RFC 9449 section 11.1).
    pub const fn expires_at(&self) -> UnixTime {
        self.claims.expires_at
    }

    /// Returns the status of the nonce, if the proof has one and there was a function to
    /// [check](ProofContext::require_nonce) it.
    pub const fn nonce_status(&self) -> Option<NonceStatus> {
        self.claims.nonce_status
    }
}

impl fmt::Debug for VerifiedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedProof")
            .field("thumbprint", &self.thumbprint)
            .field("algorithm", &self.algorithm)
            .field("expires_at", &self.claims.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::crypto::pure_rust::PureRust;

    /// RFC 9449 section 7.1.
    const EXAMPLE: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik\
        VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR\
        nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE\
        QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj\
        oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z\
        WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF\
        c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E\
        OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

    /// The layer looks at the age a second time before it asks the replay store, so its tests would
    /// not miss this.
    #[test]
    fn rfc_9449_section_4_3_item_11_iat_lies_within_the_window_to_the_second() {
        let htu = Htu::parse("https://resource.example.org/protectedresource").unwrap();
        let check_at = |after_iat: i64| {
            let now = UnixTime::from_secs(1_562_262_618 + after_iat);
            let context = ProofContext::new(&Method::GET, &htu, now);
            let checked = ProofVerifier::default().check(EXAMPLE, &context, &PureRust);
            checked
                .map(|_| ())
                .map_err(|e| (e.kind(), e.clock_offset()))
        };
        assert_eq!(check_at(-11), Err((ProofErrorKind::FromFuture, Some(11))));
        assert_eq!(check_at(-10), Ok(()));
        assert_eq!(check_at(70), Ok(()));
        assert_eq!(check_at(71), Err((ProofErrorKind::TooOld, Some(-71))));
    }
}
