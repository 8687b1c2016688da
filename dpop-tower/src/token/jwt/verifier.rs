use std::sync::Arc;

use super::parse::{Checks, UnverifiedToken};
use crate::{
    cache::Cache,
    clock::UnixTime,
    crypto::Algorithm,
    future::MaybeReady,
    jwk::Thumbprint,
    keys::{AtHand, KeySet, KeySource},
    proof::Ath,
    token::{
        PresentedToken, Readiness, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken,
        WarmUpError,
    },
};

/// The verifier that an [`Issuer`](super::Issuer) becomes.
#[derive(Clone, Debug)]
pub(in crate::token) struct JwtVerifier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    checks: Checks,
    keys: Arc<dyn KeySource>,
    /// Verdicts on tokens with a valid signature, which only the issuer can make.
    cache: Cache<Ath, Verdict>,
}

#[derive(Clone)]
struct Verdict {
    token: VerifiedToken,
    /// The key that signed the token. The verdict ends when the issuer withdraws the key.
    signed_by: Thumbprint,
    algorithm: Algorithm,
}

impl JwtVerifier {
    pub(super) fn new(checks: Checks, keys: Arc<dyn KeySource>, cache_capacity: usize) -> Self {
        Self(Arc::new(Shared {
            checks,
            keys,
            cache: Cache::new(cache_capacity),
        }))
    }
}

impl TokenVerifier for JwtVerifier {
    fn verify(
        &self,
        token: PresentedToken<'_>,
        now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        let shared = &self.0;
        let (ath, at_hand) = (token.ath(), shared.keys.at_hand());
        if let Some(at_hand) = &at_hand
            && let Some(verdict) = shared.cached(ath, &at_hand.keys, now)
        {
            shared.refresh_if_due(at_hand);
            return MaybeReady::ready(verdict);
        }
        let unverified = match shared.checks.parse(token.expose(), now) {
            Ok(unverified) => unverified,
            Err(error) => return MaybeReady::ready(Err(error)),
        };
        let mut seen = None;
        let mut verdict = Err(TokenErrorKind::KeysUnavailable.into());
        if let Some(at_hand) = at_hand {
            shared.refresh_if_due(&at_hand);
            verdict = shared.verify(ath, &unverified, &at_hand.keys);
            if !shared.may_be_decided_otherwise(&verdict, &at_hand.keys) {
                return MaybeReady::ready(verdict);
            }
            seen = Some(at_hand.keys);
        }
        let shared = Arc::clone(shared);
        MaybeReady::pending(async move {
            let Ok(keys) = shared.keys.load(seen).await else {
                return verdict;
            };
            match shared.cached(ath, &keys, now) {
                Some(verdict) => verdict,
                None => shared.verify(ath, &unverified, &keys),
            }
        })
    }

    fn warm_up(&self) -> MaybeReady<Result<(), WarmUpError>> {
        let shared = Arc::clone(&self.0);
        MaybeReady::pending(async move {
            let failed = |reason: Arc<str>| WarmUpError::new(&*shared.checks.issuer, &*reason);
            shared.keys.warm_up().await.map_err(failed)
        })
    }

    fn readiness(&self) -> Readiness {
        Readiness::default().with(&*self.0.checks.issuer, self.0.keys.state())
    }
}

impl Shared {
    fn refresh_if_due(&self, at_hand: &AtHand) {
        if at_hand.is_due {
            self.keys.refresh();
        }
    }

    /// Returns whether newer keys may change the verdict. They may contain a new `kid`, or another key under
    /// a known `kid`.
    fn may_be_decided_otherwise(
        &self,
        verdict: &Result<VerifiedToken, TokenError>,
        keys: &Arc<KeySet>,
    ) -> bool {
        let lacks_key = verdict.as_ref().is_err_and(|error| {
            let kind = error.kind();
            matches!(
                kind,
                TokenErrorKind::KeyUnknown | TokenErrorKind::SignatureInvalid
            )
        });
        lacks_key && self.keys.may_have_others(keys)
    }

    /// Returns the cached verdict on a token, if it still holds.
    fn cached(
        &self,
        ath: Ath,
        keys: &KeySet,
        now: UnixTime,
    ) -> Option<Result<VerifiedToken, TokenError>> {
        let verdict = self.cache.get(&ath)?;
        if !keys.contains(&verdict.signed_by, verdict.algorithm) {
            self.cache.remove(&ath);
            return None;
        }
        let times = self.checks.check_times(verdict.token.claims().map(), now);
        if times.is_err() {
            self.cache.remove(&ath);
        }
        Some(times.map(|()| verdict.token))
    }

    fn verify(
        &self,
        ath: Ath,
        unverified: &UnverifiedToken,
        keys: &KeySet,
    ) -> Result<VerifiedToken, TokenError> {
        let signed_by = *unverified.verify_signature(keys)?.thumbprint();
        let token = self.checks.verified(unverified.claims.clone())?;
        let verdict = Verdict {
            token: token.clone(),
            signed_by,
            algorithm: unverified.algorithm(),
        };
        self.cache.insert(ath, verdict);
        Ok(token)
    }
}
