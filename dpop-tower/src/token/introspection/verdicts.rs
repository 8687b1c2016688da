//! Keeps verdicts for a time, by the hash of the token.

use std::time::Duration;

use super::answer::{Checks, Verdict};
use crate::{
    cache::Cache,
    clock::UnixTime,
    proof::Ath,
    token::{TokenError, VerifiedToken},
};

/// How many verdicts on tokens that cannot be used are kept.
const REJECTED: usize = 10_000;

/// Two caches, so that tokens which strangers invent do not push out those of clients.
#[derive(Debug)]
pub(super) struct Verdicts {
    /// Only the issuer can make such a token, so strangers cannot fill this cache.
    usable: Cache<Ath, Kept<VerifiedToken>>,
    /// Strangers can fill this cache. That only makes the endpoint answer for a token again.
    rejected: Cache<Ath, Kept<TokenError>>,
    usable_for: Duration,
    rejected_for: Duration,
}

#[derive(Clone)]
struct Kept<T> {
    value: T,
    /// A reading of the monotonic clock.
    until: Duration,
}

impl Verdicts {
    pub(super) fn new(capacity: usize, usable_for: Duration, rejected_for: Duration) -> Self {
        Self {
            usable: Cache::new(capacity),
            rejected: Cache::new(REJECTED),
            usable_for,
            rejected_for,
        }
    }

    /// Returns the verdict on a token, if there is one that still counts.
    pub(super) fn get(
        &self,
        ath: Ath,
        monotonic: Duration,
        now: UnixTime,
        checks: &Checks,
    ) -> Option<Verdict> {
        if let Some(kept) = self.usable.get(&ath) {
            if kept.until <= monotonic {
                self.usable.remove(&ath);
                return None;
            }
            let times = checks.check_times(&kept.value, now);
            return Some(times.map(|()| kept.value));
        }
        let kept = self.rejected.get(&ath)?;
        if kept.until <= monotonic {
            self.rejected.remove(&ath);
            return None;
        }
        Some(Err(kept.value))
    }

    /// Keeps a verdict that was asked for at `asked`. The issuer may have revoked the token since then.
    pub(super) fn insert(&self, ath: Ath, verdict: &Verdict, asked: Duration) {
        match verdict {
            Ok(token) if !self.usable_for.is_zero() => {
                let kept = Kept {
                    value: token.clone(),
                    until: asked.saturating_add(self.usable_for),
                };
                self.usable.insert(ath, kept);
            }
            Err(error) if !self.rejected_for.is_zero() => {
                let kept = Kept {
                    value: error.clone(),
                    until: asked.saturating_add(self.rejected_for),
                };
                self.rejected.insert(ath, kept);
            }
            Ok(_) | Err(_) => {}
        }
    }
}
