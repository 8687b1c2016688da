//! The time for which used proofs have to be remembered, over all configurations that share a store.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::{
    clock::UnixTime,
    error::{ConfigError, ConfigErrorKind},
};

/// The acceptance windows of all configurations that share a [`ReplayStore`](super::ReplayStore).
///
/// The window of a configuration is the time for which it accepts a proof: the maximum age plus the
/// leeway. If two configurations share a store, it has to remember each proof for the longer window.
/// Otherwise a proof that was used under one configuration is accepted again under the other. This applies
/// to layers for different routes, and to a configuration that replaces another while the process runs.
///
/// A store creates one value of this type when it is made, and returns it from
/// [`ReplayStore::windows`](super::ReplayStore::windows).
/// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) registers the window of the
/// configuration. The window is removed when the last layer and the last request of that configuration are
/// gone. Clones are handles to the same windows.
///
/// # What is guaranteed
///
/// - A proof is remembered for the longest window that is registered when it is used.
/// - When a longer window is registered, proofs that were made earlier keep the shortest window that was
///   in force since. A proof that is older than this is rejected as replayed even if it was not used,
///   because the record of its use may be gone.
/// - Only the times in proofs count, so setting the clock back or ahead changes nothing.
///
/// # Several processes
///
/// The windows are those of one process. If several processes share the records of a store, or if records
/// outlive the process, give each process the longest window of all of them with
/// [`at_least`](Self::at_least).
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::replay::AcceptanceWindows;
///
/// // One process accepts proofs for 60 + 10 seconds, another one for 120 + 10 seconds.
/// let windows = AcceptanceWindows::at_least(Duration::from_secs(130))?;
/// // Pass it to the constructor of your store, which returns it from `ReplayStore::windows`.
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Default)]
pub struct AcceptanceWindows(Arc<Shared>);

/// All values are whole seconds.
///
/// `longest` and `latest` are a handshake. The use of a proof raises `latest` and then reads `longest`. The
/// registration of a longer window raises `longest` and then reads `latest`. So either the proof is
/// remembered for the longer window, or the registration sees the proof. This requires one order of all four
/// steps, hence `SeqCst`.
struct Shared {
    /// How many times each window is registered.
    registered: Mutex<BTreeMap<i64, u64>>,
    /// The longest of `registered`; zero if nothing has ever been registered.
    longest: AtomicI64,
    /// When the most recent of all used proofs was made.
    latest: AtomicI64,
    /// Proofs that were made at or before this instant may have been remembered for `short` only. It never
    /// falls and `short` never rises, because a clock that is set back could return to an old change.
    short_until: AtomicI64,
    short: AtomicI64,
    /// The longest window that [`AcceptanceWindows::news`] has returned.
    told: AtomicI64,
    /// The longest leeway of all configurations so far. It never falls, because proofs that were used under an
    /// earlier configuration can be as far ahead.
    leeway: AtomicI64,
    /// Whether any configuration so far has accepted proofs by their nonce in place of their `iat`.
    nonce_for_iat: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            registered: Mutex::default(),
            longest: AtomicI64::new(0),
            latest: AtomicI64::new(i64::MIN),
            short_until: AtomicI64::new(i64::MIN),
            short: AtomicI64::new(i64::MAX),
            told: AtomicI64::new(0),
            leeway: AtomicI64::new(0),
            nonce_for_iat: AtomicBool::new(false),
        }
    }
}

impl AcceptanceWindows {
    /// Starts without a window.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts with a window that is never removed, so that proofs are remembered for at least as long.
    ///
    /// Use it for a store whose records are shared by several processes, or outlive the process.
    ///
    /// To give such processes a longer window, first restart all of them with the new window here. Then
    /// use the new window in their configurations.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if `window` has a fraction of a second.
    pub fn at_least(window: Duration) -> Result<Self, ConfigError> {
        if window.subsec_nanos() > 0 {
            let message = format!(
                "the window is {window:?}, and proofs are remembered for whole seconds: give \
                 `AcceptanceWindows::at_least` a duration without a fraction of a second"
            );
            return Err(ConfigError::new(ConfigErrorKind::Replay, message));
        }
        let windows = Self::new();
        windows.0.add(whole_seconds(window));
        Ok(windows)
    }

    /// Registers a window. Used proofs are remembered for at least this long until the registration is
    /// dropped.
    pub(super) fn register(&self, window: Duration) -> Registration {
        let window = whole_seconds(window);
        self.0.add(window);
        Registration {
            shared: Arc::clone(&self.0),
            window,
        }
    }

    /// Returns the longest registered window, if it is longer than the one that was returned before.
    pub(super) fn news(&self) -> Option<Duration> {
        let longest = self.0.longest.load(SeqCst);
        let told = self.0.told.fetch_max(longest, SeqCst);
        (longest > told).then(|| self.longest())
    }

    /// Returns whether the two are handles to the same windows.
    #[cfg(feature = "test-util")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the longest registered window.
    pub(crate) fn longest(&self) -> Duration {
        let seconds = u64::try_from(self.0.longest.load(SeqCst)).unwrap_or_default();
        Duration::from_secs(seconds)
    }
}

fn whole_seconds(window: Duration) -> i64 {
    let seconds = window
        .as_secs()
        .saturating_add(u64::from(window.subsec_nanos() > 0));
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

impl Shared {
    fn registered(&self) -> MutexGuard<'_, BTreeMap<i64, u64>> {
        // Nothing panics while it is held.
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, window: i64) {
        let mut registered = self.registered();
        let count = registered.entry(window).or_default();
        *count = count.saturating_add(1);
        let before = self.longest.load(SeqCst);
        let longest = registered.keys().next_back().map_or(window, |last| *last);
        self.longest.store(longest, SeqCst);
        if longest <= before {
            return;
        }
        let latest = self.latest.load(SeqCst);
        // If no proof was used yet, none can have been forgotten.
        if latest > i64::MIN {
            // The order of these two lines matters; see `life`.
            self.short.fetch_min(before, SeqCst);
            self.short_until.fetch_max(latest, SeqCst);
        }
    }

    fn remove(&self, window: i64) {
        let mut registered = self.registered();
        if let Entry::Occupied(mut count) = registered.entry(window) {
            match count.get().checked_sub(1) {
                Some(left @ 1..) => *count.get_mut() = left,
                _ => drop(count.remove()),
            }
        }
        // The last one stays in force, so that the next is compared with it.
        if let Some(longest) = registered.keys().next_back() {
            self.longest.store(*longest, SeqCst);
        }
    }

    /// Returns for how long a proof that was made at `made` is acceptable and has to be remembered.
    fn life(&self, made: i64) -> i64 {
        if self.latest.load(SeqCst) < made {
            self.latest.fetch_max(made, SeqCst);
        }
        let longest = self.longest.load(SeqCst);
        // `short` is written before `short_until`.
        if made <= self.short_until.load(SeqCst) {
            longest.min(self.short.load(SeqCst))
        } else {
            longest
        }
    }
}

impl fmt::Debug for AcceptanceWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptanceWindows")
            .field("longest", &self.longest())
            .finish_non_exhaustive()
    }
}

/// The window of one configuration, which counts until this value is dropped.
pub(super) struct Registration {
    shared: Arc<Shared>,
    window: i64,
}

impl Registration {
    /// Returns the last instant at which any configuration may accept a proof that was made at `made` and is
    /// used now.
    pub(super) fn acceptable_until(&self, made: UnixTime) -> UnixTime {
        let made = made.as_secs();
        UnixTime::from_secs(made.saturating_add(self.shared.life(made)))
    }

    /// Makes the [leeway](Self::leeway) at least as long.
    pub(super) fn raise_leeway(&self, leeway: Duration) {
        self.shared.leeway.fetch_max(whole_seconds(leeway), SeqCst);
    }

    /// Returns the longest leeway of the configurations that have used the store.
    pub(super) fn leeway(&self) -> Duration {
        let seconds = u64::try_from(self.shared.leeway.load(SeqCst)).unwrap_or_default();
        Duration::from_secs(seconds)
    }

    /// Says that the configuration accepts proofs by their nonce in place of their `iat`.
    pub(super) fn add_nonce_for_iat(&self) {
        self.shared.nonce_for_iat.store(true, SeqCst);
    }

    /// Returns whether a configuration that has used the store accepts proofs by their nonce.
    pub(super) fn has_nonce_for_iat(&self) -> bool {
        self.shared.nonce_for_iat.load(SeqCst)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shared.remove(self.window);
    }
}

#[cfg(test)]
mod tests;
