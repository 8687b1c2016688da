use std::sync::Arc;

use super::{
    cache::{TokenCache, Verdict},
    parse::{Checks, UnverifiedToken},
};
use crate::{
    check::Check,
    keys::{KeySet, KeySource},
    proof::Ath,
    time::UnixTime,
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
};

/// [`JwtTokens`](super::JwtTokens), ready for use.
#[derive(Clone, Debug)]
pub(in crate::token) struct JwtVerifier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    checks: Checks,
    keys: Arc<dyn KeySource>,
    cache: TokenCache,
}

impl JwtVerifier {
    pub(super) fn new(checks: Checks, keys: Arc<dyn KeySource>, cache_capacity: usize) -> Self {
        Self(Arc::new(Shared {
            checks,
            keys,
            cache: TokenCache::new(cache_capacity),
        }))
    }
}

impl TokenVerifier for JwtVerifier {
    fn verify(
        &self,
        token: PresentedToken<'_>,
        now: UnixTime,
    ) -> Check<Result<VerifiedToken, TokenError>> {
        let shared = &self.0;
        let (ath, current) = (token.ath(), shared.keys.current(now));
        if let Some(keys) = &current
            && let Some(verdict) = shared.cached(ath, keys, now)
        {
            return Check::ready(verdict);
        }
        let unverified = match shared.checks.parse(token.expose(), now) {
            Ok(unverified) => unverified,
            Err(error) => return Check::ready(Err(error)),
        };
        if let Some(keys) = &current {
            let verdict = shared.verify(ath, &unverified, keys);
            if !shared.may_be_decided_otherwise(&verdict, now) {
                return Check::ready(verdict);
            }
        }
        let shared = Arc::clone(shared);
        Check::pending(async move {
            let keys = shared.keys.load(current, now).await?;
            let verdict = match shared.cached(ath, &keys, now) {
                Some(verdict) => verdict,
                None => shared.verify(ath, &unverified, &keys),
            };
            // Those may be old keys that serve while another request fetches new ones.
            if !shared.may_be_decided_otherwise(&verdict, now) {
                return verdict;
            }
            let keys = shared.keys.load(Some(keys), now).await?;
            shared.verify(ath, &unverified, &keys)
        })
    }
}

impl Shared {
    /// Whether the token names a key that newer keys may have.
    fn may_be_decided_otherwise(
        &self,
        verdict: &Result<VerifiedToken, TokenError>,
        now: UnixTime,
    ) -> bool {
        matches!(verdict, Err(error) if error.kind() == TokenErrorKind::KeyUnknown)
            && self.keys.may_have_newer(now)
    }

    /// The verdict on a token that was seen before, if it still holds.
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
        let times = verdict
            .token
            .claims()
            .with_map(|claims| self.checks.check_times(claims, now));
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
