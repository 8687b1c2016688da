//! The replay store of a configuration, and its registered window.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    AcceptanceWindows, Freshness, Incarnation, ReplayKey, ReplayStore, StoreError, UsedProof,
    windows::Registration,
};
use crate::{
    clock::UnixTime,
    future::MaybeReady,
    telemetry::{self, Timer},
};

/// A proof is remembered a little longer than it is acceptable. A proof that is checked in its last second is
/// then still known when it reaches the store, also on a node whose clock is behind.
const MARGIN: Duration = Duration::from_secs(5);

/// The used proofs of one configuration.
pub(crate) struct UsedProofs {
    store: Arc<dyn ReplayStore>,
    window: Registration,
    /// Is `false` if the configuration never uses the store.
    remembers: bool,
}

/// The incarnation of the store when the checks of a proof began. It has to be the same when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence(Option<Incarnation>);

impl UsedProofs {
    /// Registers a configuration that accepts proofs for `window`, which is the maximum age plus the leeway.
    pub(crate) fn new(store: Arc<dyn ReplayStore>, window: Duration) -> Self {
        let windows = store.windows();
        let window = windows.register(window);
        // Warns once for each store and not for every configuration that shares it.
        if let (Some(longest), Some(limits)) = (windows.news(), store.limits()) {
            limits.warn_if_short(longest.saturating_add(MARGIN));
        }
        Self {
            store,
            window,
            remembers: true,
        }
    }

    /// Returns for how long a proof is remembered that is acceptable for `window`.
    pub(crate) const fn remembered_for(window: Duration) -> Duration {
        window.saturating_add(MARGIN)
    }

    /// Returns the longest time for which the store has to keep a proof of a configuration that accepts it for `window`.
    /// The `iat` of a proof may be the leeway ahead when it is used, and its last second counts.
    pub(crate) const fn longest_life(window: Duration, leeway: Duration) -> Duration {
        Self::remembered_for(window)
            .saturating_add(leeway)
            .saturating_add(Duration::from_secs(1))
    }

    /// Returns a text for each limit of the store that few requests use up.
    pub(crate) fn shortages(&self) -> Vec<String> {
        let limits = self.remembers.then(|| self.store.limits()).flatten();
        let remembered_for = Self::remembered_for(self.store.windows().longest());
        limits.map_or_else(Vec::new, |limits| limits.warnings(remembered_for))
    }

    /// Makes the value of a configuration that never uses the store.
    pub(crate) fn not_remembered(store: Arc<dyn ReplayStore>) -> Self {
        Self {
            window: AcceptanceWindows::new().register(Duration::ZERO),
            store,
            remembers: false,
        }
    }

    /// Says how far the `iat` of a proof may lie ahead when the configuration accepts it.
    pub(crate) fn with_leeway(self, leeway: Duration) -> Self {
        self.window.raise_leeway(leeway);
        self
    }

    /// Says that the configuration accepts proofs by their nonce in place of their `iat`.
    pub(crate) fn with_nonce_for_iat(self) -> Self {
        self.window.add_nonce_for_iat();
        self
    }

    /// Returns whether a proof with an unknown nonce may have been used although it is not on record.
    ///
    /// If a nonce stands in for `iat`, a proof may have been used by its nonce while its `iat` was far ahead. The
    /// record of that use is gone when the `iat` is good and the nonce is not.
    pub(crate) fn needs_good_nonce(&self) -> bool {
        self.window.has_nonce_for_iat()
    }

    /// Waits until the store can be used; see [`ReplayStore::warm_up`].
    pub(crate) fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        match self.remembers {
            true => self.store.warm_up(),
            false => MaybeReady::ready(Ok(())),
        }
    }

    /// Returns whether the store can be used; see [`ReplayStore::readiness`].
    pub(crate) fn readiness(&self) -> Result<(), StoreError> {
        match self.remembers {
            true => self.store.readiness(),
            false => Ok(()),
        }
    }

    /// Returns what the store says it is.
    pub(crate) fn description(&self) -> Option<String> {
        self.store.description()
    }

    /// Returns the fence of the store as it is now.
    pub(crate) fn fence(&self) -> Fence {
        // A configuration that lets proofs be used again has nothing to protect.
        Fence(if self.remembers {
            self.store.incarnation()
        } else {
            None
        })
    }

    /// Returns whether a proof that was made at `made` is known to be unused if it is not on record.
    ///
    /// A use before the change was at `since` at the latest, when no `iat` could be further ahead than the
    /// leeway.
    pub(crate) fn covers(&self, fence: Fence, made: UnixTime) -> bool {
        fence.0.is_none_or(|incarnation| {
            made > incarnation.since().saturating_add(self.window.leeway())
        })
    }

    /// Records a proof that was made at `made`, unless it was used before.
    pub(crate) fn check_and_insert(
        &self,
        key: ReplayKey,
        made: UnixTime,
        now: UnixTime,
    ) -> ReplayCheck {
        let acceptable_until = self.window.acceptable_until(made);
        if acceptable_until < now {
            // The windows were shorter when it was made, so the record of its use may be gone.
            return ReplayCheck::decided(Freshness::Replayed);
        }
        let expires_at = acceptable_until.saturating_add(MARGIN);
        let proof = UsedProof {
            key,
            now,
            expires_at,
        };
        let asked = Some(Timer::start());
        let answer = self.store.check_and_insert(proof);
        ReplayCheck { answer, asked }
    }
}

/// Whether a proof was used before, as the store says, or as is known without it.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct ReplayCheck {
    answer: MaybeReady<Result<Freshness, StoreError>>,
    /// When the store was asked, if it was.
    asked: Option<Timer>,
}

impl ReplayCheck {
    /// Makes the value for a request that leaves no record.
    pub(crate) const fn fresh() -> Self {
        Self::decided(Freshness::Fresh)
    }

    const fn decided(freshness: Freshness) -> Self {
        Self {
            answer: MaybeReady::ready(Ok(freshness)),
            asked: None,
        }
    }
}

impl Future for ReplayCheck {
    type Output = Result<Freshness, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        if let Some(asked) = self.asked {
            let outcome = match &answer {
                Ok(Freshness::Fresh) => "fresh",
                Ok(Freshness::Replayed) => "replayed",
                Err(error) => error.kind().as_str(),
            };
            telemetry::replay_check(asked, outcome);
        }
        Poll::Ready(answer)
    }
}

impl Fence {
    /// Returns the incarnation that nonces are made for.
    pub(crate) const fn incarnation(self) -> Option<Incarnation> {
        self.0
    }
}

impl fmt::Debug for UsedProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
