use std::sync::Arc;

#[cfg(feature = "josekit")]
use super::encrypted;
use super::{
    encrypted::{Encryption, KeyId},
    issuers::{Choice, Issuers},
    parse::{Checks, DecodedToken, UnverifiedToken},
};
#[cfg(feature = "introspection")]
use crate::token::introspection::IntrospectionVerifier;
use crate::{
    cache::Cache,
    clock::UnixTime,
    crypto::Algorithm,
    future::MaybeReady,
    jwk::Thumbprint,
    keys::{AtHand, KeySet, KeySource},
    proof::Ath,
    telemetry::{self, CacheName},
    token::{
        PresentedToken, Readiness, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken,
        WarmUpError,
    },
};

/// The verifier that one or several [`Issuer`](super::Issuer)s become.
#[derive(Clone, Debug)]
pub(in crate::token) struct JwtVerifier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    issuers: Issuers,
    cache: Verdicts,
}

/// Verdicts on tokens with a valid signature, which only an issuer can make.
type Verdicts = Cache<Ath, Verdict>;

#[derive(Clone)]
struct Verdict {
    token: VerifiedToken,
    /// The issuer that verified the token.
    issuer: Arc<IssuerVerifier>,
    /// The key that signed the token. The verdict ends when the issuer withdraws the key.
    signed_by: Thumbprint,
    algorithm: Algorithm,
    /// The key that decrypted the token, if it was encrypted. The verdict ends when the key is withdrawn.
    decrypted_by: Option<Arc<KeyId>>,
}

/// The verifier of the tokens of one issuer.
#[derive(Debug)]
pub(in crate::token) struct IssuerVerifier {
    pub(super) checks: Checks,
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) encryption: Encryption,
    /// `None` if the issuer is part of the configuration.
    #[cfg(feature = "jwks")]
    pub(super) currency: Option<super::dynamic::Currency>,
    /// Looks up the status of tokens, if the issuer has status lists.
    #[cfg(feature = "status-list")]
    pub(super) status: Option<Arc<crate::token::status_list::StatusVerifier>>,
    /// Verifies the opaque tokens, if the issuer has any.
    #[cfg(feature = "introspection")]
    pub(super) introspection: Option<IntrospectionVerifier>,
}

type Verified = Result<VerifiedToken, TokenError>;

impl JwtVerifier {
    pub(in crate::token) fn new(issuers: Issuers, cache_capacity: usize) -> Self {
        Self(Arc::new(Shared {
            issuers,
            cache: Cache::new(cache_capacity),
        }))
    }
}

impl TokenVerifier for JwtVerifier {
    fn verify(&self, token: PresentedToken<'_>, now: UnixTime) -> MaybeReady<Verified> {
        let Self(shared) = self;
        let ath = token.ath();
        if let Some((issuer, verdict)) = shared.cached(ath, now) {
            telemetry::cache_lookup(CacheName::Token, true);
            return issuer.with_status(verdict);
        }
        #[cfg(feature = "introspection")]
        if let Some(opaque) = shared.issuers.opaque(token.expose()) {
            return opaque.verify(token, now);
        }
        telemetry::cache_lookup(CacheName::Token, false);
        let decoded = match DecodedToken::decode(token.expose()) {
            Ok(decoded) => decoded,
            #[cfg(feature = "josekit")]
            Err(error) => return shared.verify_encrypted(token, now, error),
            #[cfg(not(feature = "josekit"))]
            Err(error) => return MaybeReady::ready(Err(error)),
        };
        match shared.issuers.choose(&decoded) {
            Ok(Choice::Known(issuer)) => shared.verify(issuer, decoded, None, ath, now),
            #[cfg(feature = "jwks")]
            Ok(Choice::Lookup(lookup)) => {
                let (shared, token) = (Arc::clone(shared), token.expose().to_owned());
                MaybeReady::pending(async move {
                    let issuer = lookup.end().await?;
                    let decoded = DecodedToken::decode(&token)?;
                    shared.verify(issuer, decoded, None, ath, now).await
                })
            }
            Err(error) => MaybeReady::ready(Err(error)),
        }
    }

    fn warm_up(&self) -> MaybeReady<Result<(), WarmUpError>> {
        let Self(shared) = self;
        let issuers: Vec<_> = shared.issuers.fixed_ones().map(Arc::clone).collect();
        MaybeReady::pending(async move {
            // All attempts run at the same time.
            for issuer in &issuers {
                issuer.keys.refresh();
            }
            let mut failures: Option<WarmUpError> = None;
            for issuer in issuers {
                if let Err(why) = issuer.keys.warm_up().await {
                    let error = WarmUpError::new(&*issuer.checks.issuer, &*why);
                    failures = Some(match failures {
                        None => error,
                        Some(others) => others.and(error),
                    });
                }
            }
            failures.map_or(Ok(()), Err)
        })
    }

    fn readiness(&self) -> Readiness {
        (self.0.issuers.fixed_ones()).fold(Readiness::default(), |readiness, issuer| {
            readiness.with(&*issuer.checks.issuer, issuer.keys.state())
        })
    }
}

impl Shared {
    /// Returns the cached verdict on a token, if it still holds.
    fn cached(&self, ath: Ath, now: UnixTime) -> Option<(Arc<IssuerVerifier>, Verified)> {
        let verdict = self.cache.get(&ath)?;
        let issuer = Arc::clone(&verdict.issuer);
        let at_hand = issuer.keys.at_hand()?;
        if !self.issuers.has(&issuer) {
            self.cache.remove(&ath);
            return None;
        }
        let verified = self.holds(verdict, ath, &at_hand.keys, now)?;
        issuer.refresh_if_due(&at_hand);
        Some((issuer, verified))
    }

    /// Checks a cached verdict against the current keys and the current time.
    fn holds(&self, verdict: Verdict, ath: Ath, keys: &KeySet, now: UnixTime) -> Option<Verified> {
        let issuer = &verdict.issuer;
        if !keys.contains(&verdict.signed_by, verdict.algorithm)
            || !(issuer.encryption).still_has(verdict.decrypted_by.as_deref())
        {
            self.cache.remove(&ath);
            return None;
        }
        let claims = verdict.token.claims().map();
        let times = issuer.checks.check_times(claims, now);
        if times.is_err() {
            self.cache.remove(&ath);
        }
        Some(times.map(|()| verdict.token))
    }

    /// Decrypts a token that is no signed JWT, and verifies what was in it.
    #[cfg(feature = "josekit")]
    #[cold]
    fn verify_encrypted(
        self: &Arc<Self>,
        token: PresentedToken<'_>,
        now: UnixTime,
        not_signed: TokenError,
    ) -> MaybeReady<Verified> {
        let error = match encrypted::open(&self.issuers, token.expose()) {
            None => not_signed,
            Some(Err(error)) => error,
            Some(Ok(opened)) => match opened.decode().and_then(|jwt| {
                let issuer = self.issuers.choose_decrypted(&jwt, &opened.decrypted_by)?;
                Ok((issuer, jwt))
            }) {
                Ok((issuer, jwt)) => {
                    let decrypted_by = Some(Arc::clone(&opened.decrypted_by));
                    return self.verify(issuer, jwt, decrypted_by, token.ath(), now);
                }
                Err(error) => error,
            },
        };
        MaybeReady::ready(Err(error))
    }

    /// Verifies a token by the rules of this issuer.
    fn verify(
        self: &Arc<Self>,
        issuer: Arc<IssuerVerifier>,
        token: DecodedToken<'_>,
        decrypted_by: Option<Arc<KeyId>>,
        ath: Ath,
        now: UnixTime,
    ) -> MaybeReady<Verified> {
        // RFC 9068 section 4
        if issuer.encryption.is_required && decrypted_by.is_none() {
            return MaybeReady::ready(Err(TokenErrorKind::EncryptionNeeded.into()));
        }
        let unverified = match issuer.checks.check(token, now) {
            Ok(unverified) => unverified,
            Err(error) => return MaybeReady::ready(Err(error)),
        };
        let mut seen = None;
        let mut verified = Err(TokenErrorKind::KeysUnavailable.into());
        if let Some(at_hand) = issuer.keys.at_hand() {
            issuer.refresh_if_due(&at_hand);
            let by = decrypted_by.as_ref();
            verified = self.verify_signature(ath, &issuer, &unverified, by, &at_hand.keys);
            if !issuer.may_decide_otherwise(&verified, &at_hand.keys) {
                return issuer.with_status(verified);
            }
            seen = Some(at_hand.keys);
        }
        let shared = Arc::clone(self);
        MaybeReady::pending(async move {
            let Ok(keys) = issuer.keys.load(seen).await else {
                return verified;
            };
            // Another request may have verified the same token meanwhile.
            let verdict = shared.cache.get(&ath);
            let verified = match verdict.and_then(|verdict| shared.holds(verdict, ath, &keys, now))
            {
                Some(verified) => verified,
                None => {
                    let by = decrypted_by.as_ref();
                    shared.verify_signature(ath, &issuer, &unverified, by, &keys)
                }
            };
            issuer.with_status(verified).await
        })
    }

    fn verify_signature(
        &self,
        ath: Ath,
        issuer: &Arc<IssuerVerifier>,
        unverified: &UnverifiedToken,
        decrypted_by: Option<&Arc<KeyId>>,
        keys: &KeySet,
    ) -> Verified {
        let signed_by = *unverified.verify_signature(keys)?.thumbprint();
        let token = issuer.checks.verified(unverified.claims.clone())?;
        let verdict = Verdict {
            token: token.clone(),
            issuer: Arc::clone(issuer),
            signed_by,
            algorithm: unverified.algorithm(),
            decrypted_by: decrypted_by.cloned(),
        };
        self.cache.insert(ath, verdict);
        Ok(token)
    }
}

impl IssuerVerifier {
    /// Rejects a verified token if its issuer has revoked it, also if the verdict was cached.
    fn with_status(&self, verified: Verified) -> MaybeReady<Verified> {
        #[cfg(feature = "status-list")]
        if let (Some(status), Ok(token)) = (&self.status, &verified) {
            return status.check(token.clone());
        }
        MaybeReady::ready(verified)
    }

    fn refresh_if_due(&self, at_hand: &AtHand) {
        if at_hand.is_due {
            self.keys.refresh();
        }
    }

    /// Returns whether newer keys may change the verdict. They may contain a new `kid`, or another key under
    /// a known `kid`.
    fn may_decide_otherwise(&self, verified: &Verified, keys: &Arc<KeySet>) -> bool {
        let lacks_key = verified.as_ref().is_err_and(|error| {
            let kind = error.kind();
            matches!(
                kind,
                TokenErrorKind::KeyUnknown | TokenErrorKind::SignatureInvalid
            )
        });
        lacks_key && self.keys.may_have_others(keys)
    }
}
