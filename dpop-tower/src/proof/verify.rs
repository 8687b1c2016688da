use super::{
    Ath, Htu, MAX_PROOF_LEN, NonceLife, NonceStatus, ProofContext, ProofError, ProofErrorKind,
    ProofKey, ProofVerifier, UnverifiedProof, VerifiedProof, kept::Kept, key::Signer,
    verified::Claims,
};
use crate::{
    clock::UnixTime,
    crypto::{CryptoProvider, PreparedKey},
    jose::{
        compact::CompactJws,
        header::{self, HeaderError},
        json::{InvalidDate, Object, Value, date},
    },
    jwk::PublicJwk,
};

/// A `jti` needs 96 bits of randomness or a UUID (RFC 9449 section 4.2), which is much shorter.
const MAX_JTI_LEN: usize = 256;

impl ProofVerifier {
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
        let key = self.check_header(&header)?;
        // For another kind of JWT, the error about its `typ` is clearer than one about missing claims.
        let required = required?;
        let claims = self.check_claims(&required, &payload, context)?;
        let known = context.known_key.and_then(|known| known(&key));
        Ok(UnverifiedProof {
            signer: known.map_or_else(|| Signer::new(&key.key, crypto), Signer::Known),
            key,
            claims,
            kept: Kept::new(jws.signing_input(), jws.signature(), required.jti),
        })
    }

    /// Checks items 4, 5 and 7 of RFC 9449 section 4.3.
    fn check_header(&self, header: &Object<'_>) -> Result<ProofKey, ProofError> {
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
        Ok(ProofKey { key, algorithm })
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
        (Some(NonceStatus::Unknown), _) if check.needs_good => {
            Err(ProofErrorKind::NonceUnknown.into())
        }
        (None, true) => Err(ProofErrorKind::NonceMissing.into()),
        (status, _) => Ok(status),
    }
}

impl UnverifiedProof {
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
            thumbprint: *self.thumbprint(),
            algorithm: self.algorithm(),
            claims: self.claims,
            kept: self.kept,
        }
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
