//! What outlives a change of the file.

use std::{fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use dpop_tower::{
    Check, ConfigError,
    nonce::NonceSecret,
    replay::{Freshness, MemoryReplayStore, ReplayKey, ReplayStore, StoreError},
    time::UnixTime,
    token::FetchedKeys,
};

/// How much longer than it is acceptable a proof is remembered; see the decision 0002 of the library.
const REPLAY_MARGIN: i64 = 5;

/// In-flight requests, and clocks that disagree.
const ERA_SLACK: i64 = 60;

/// No proof is acceptable for longer than this; the library sees to that.
const LONGEST_WINDOW: i64 = 25 * 60 * 60;

/// The proofs that were used, the secret of nonces where none is configured, and the keys of issuers that
/// were fetched. A [`Gateway`] keeps one for as long as it runs.
///
/// [`Gateway`]: crate::Gateway
#[derive(Clone)]
pub struct Memory {
    proofs: Arc<MemoryReplayStore>,
    eras: Arc<ArcSwap<Vec<Era>>>,
    nonce_secret: NonceSecret,
    fetched_keys: FetchedKeys,
}

/// Proofs that were made before `until` may have been used while they were remembered for no longer
/// than `window`, both in seconds.
#[derive(Clone, Copy, Debug)]
struct Era {
    until: i64,
    window: i64,
}

impl Memory {
    /// An empty memory for this many proofs, a million unless given, and this many of one client, a
    /// tenth of the whole unless given.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the operating system has no randomness to give.
    pub fn new(
        capacity: Option<NonZeroUsize>,
        capacity_per_client: Option<NonZeroUsize>,
    ) -> Result<Self, ConfigError> {
        let mut proofs = match capacity {
            None => MemoryReplayStore::new(),
            Some(capacity) => MemoryReplayStore::with_capacity(capacity),
        };
        if let Some(entries) = capacity_per_client {
            proofs = proofs.capacity_per_client(entries);
        }
        Ok(Self {
            proofs: Arc::new(proofs),
            eras: Arc::default(),
            nonce_secret: NonceSecret::random()?,
            fetched_keys: FetchedKeys::new(),
        })
    }

    pub(crate) fn nonce_secret(&self) -> NonceSecret {
        self.nonce_secret.clone()
    }

    pub(crate) fn fetched_keys(&self) -> FetchedKeys {
        self.fetched_keys.clone()
    }

    /// The store of a configuration that accepts proofs for this long: maximum age and leeway.
    pub fn store(&self, window: Duration) -> impl ReplayStore + use<> {
        RememberingStore {
            proofs: Arc::clone(&self.proofs),
            eras: Arc::clone(&self.eras),
            window: seconds(window),
        }
    }

    /// A configuration that accepts proofs for `old` is about to be replaced by one that accepts them
    /// for `new`. What the old one has accepted is remembered for its own time only; so where the new
    /// one's is longer, it is not for proofs of the time before.
    pub fn change_window(&self, now: UnixTime, old: Duration, new: Duration) {
        let window = seconds(old);
        if seconds(new) <= window {
            return;
        }
        let now = now.as_secs();
        let ended = Era {
            // What lies ahead of the clock by the leeway, which is less, was accepted, too.
            until: now.saturating_add(window).saturating_add(ERA_SLACK),
            window,
        };
        self.eras.rcu(|eras| {
            let counts = |era: &&Era| {
                let is_alive = era.until.saturating_add(LONGEST_WINDOW) >= now;
                let is_covered = era.until <= ended.until && era.window >= ended.window;
                is_alive && !is_covered
            };
            let mut eras: Vec<Era> = eras.iter().filter(counts).copied().collect();
            eras.push(ended);
            eras
        });
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct RememberingStore {
    proofs: Arc<MemoryReplayStore>,
    eras: Arc<ArcSwap<Vec<Era>>>,
    window: i64,
}

impl ReplayStore for RememberingStore {
    fn check_and_insert(
        &self,
        key: ReplayKey,
        expires_at: UnixTime,
        now: UnixTime,
    ) -> Check<Result<Freshness, StoreError>> {
        let made = expires_at
            .as_secs()
            .saturating_sub(self.window.saturating_add(REPLAY_MARGIN));
        let may_be_forgotten =
            |era: &Era| made <= era.until && made.saturating_add(era.window) < now.as_secs();
        if self.eras.load().iter().any(may_be_forgotten) {
            return Check::ready(Ok(Freshness::Replayed));
        }
        self.proofs.check_and_insert(key, expires_at, now)
    }
}
