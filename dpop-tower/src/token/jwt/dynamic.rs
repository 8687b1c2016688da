//! Issuers that are looked up at run time.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::Instant};

use super::{Issuer, issuers::Choice, verifier::IssuerVerifier};
use crate::{
    cache::Cache,
    clock::TimeSource,
    crypto::{Algorithm, CryptoProvider},
    error::{ConfigError, ConfigErrorKind},
    future::MaybeReady,
    keys::FetchedKeys,
    token::{TokenError, TokenErrorKind},
};

/// A longer `iss` belongs to no issuer. The source is not asked for it.
const MAX_ISSUER_LEN: usize = 1024;

/// The time limit of a lookup.
const LOOKUP: Duration = Duration::from_secs(10);

/// A lookup that has not ended this long after its limit will not end, because its runtime is no longer
/// driven.
const GRACE: Duration = Duration::from_secs(1);

/// For this long, an issuer that the source does not know is rejected without another lookup.
const UNKNOWN: Duration = Duration::from_secs(30);

/// For this long after a failed lookup of an issuer, there is no other lookup of it.
const PAUSE: Duration = Duration::from_secs(5);

/// How many lookups run at a time. Anyone can write tokens with new issuers.
const MAX_LOOKUPS: usize = 64;

/// How many issuers are remembered that the source does not know.
const ABSENT: usize = 10_000;

const NO_RUNTIME: &str = "issuers are looked up in a task, which needs a tokio runtime";

/// A set of issuers that changes at run time, such as the tenants of a database.
///
/// Give it to [`DpopConfig::builder`](crate::DpopConfig::builder) as [`DynamicIssuers`].
///
/// # Security
///
/// `iss` comes from a token that has not been verified, so anyone can choose it. Compare it with the issuers
/// that you know. Never derive a URL from it. Returning an issuer means trusting every token that it
/// signs.
///
/// # Cancel safety
///
/// The future runs in a separate task unless it is ready at once. It is dropped after ten seconds.
pub trait IssuerSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the issuer whose identifier is exactly `iss`, or `None` if it is not known.
    ///
    /// # Errors
    ///
    /// Return [`TokenError::unavailable`] if that cannot be decided. The request is then rejected with 503.
    fn issuer(&self, iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>>;
}

impl<T: IssuerSource + ?Sized> IssuerSource for Arc<T> {
    fn issuer(&self, iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
        (**self).issuer(iss)
    }
}

/// Issuers of an [`IssuerSource`], which are looked up when a token names them.
///
/// Found issuers are kept for [`cache_for`](Self::cache_for), and used for at most twice as long while the
/// source cannot be reached. An issuer that the source no longer returns is rejected within this time,
/// for tokens that were accepted before, too. Its keys are fetched once, however often it is looked up.
///
/// There is one lookup of an issuer at a time. An unknown issuer is looked up again after 30 seconds, and
/// one whose lookup failed after five seconds. At most 64 lookups run at a time. Further tokens with issuers
/// that are not cached are rejected with 503 meanwhile.
///
/// # Example
///
/// ```
/// use std::collections::HashMap;
/// use dpop_tower::{
///     DpopConfig, Issuer, PublicOrigin,
///     future::MaybeReady,
///     token::{DynamicIssuers, IssuerSource, TokenError},
/// };
///
/// #[derive(Debug)]
/// struct Tenants(HashMap<String, String>);
///
/// impl IssuerSource for Tenants {
///     fn issuer(&self, iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
///         let issuer = self.0.get_key_value(iss).map(|(issuer, audience)| {
///             Issuer::discover(issuer).audience(audience)
///         });
///         MaybeReady::ready(Ok(issuer))
///     }
/// }
///
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))] {
/// let tenants = Tenants(HashMap::from([(
///     "https://idp.example.com/tenant-1".to_owned(),
///     "https://api.example.com".to_owned(),
/// )]));
/// let origin = PublicOrigin::new("https://api.example.com")?;
/// let config = DpopConfig::builder(origin, DynamicIssuers::new(tenants)).build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct DynamicIssuers {
    source: Arc<dyn IssuerSource>,
    capacity: usize,
    cache_for: Duration,
    token_capacity: usize,
    /// The only algorithms that an issuer may have, if a profile limits them.
    only: Option<&'static [Algorithm]>,
}

impl DynamicIssuers {
    /// Looks up issuers in this source.
    pub fn new(source: impl IssuerSource) -> Self {
        Self {
            source: Arc::new(source),
            capacity: 1000,
            cache_for: Duration::from_secs(5 * 60),
            token_capacity: 10_000,
            only: None,
        }
    }

    /// Sets how many issuers are kept, at least one. Defaults to 1,000.
    pub const fn capacity(mut self, issuers: usize) -> Self {
        self.capacity = issuers;
        self
    }

    /// Sets for how long an issuer is kept before it is looked up again: whole seconds, from one second to
    /// one day. Defaults to five minutes.
    pub const fn cache_for(mut self, time: Duration) -> Self {
        self.cache_for = time;
        self
    }

    /// Sets how many verdicts on tokens are cached, at least one. Defaults to 10,000. It replaces
    /// [`Issuer::cache_capacity`].
    pub const fn token_cache_capacity(mut self, tokens: usize) -> Self {
        self.token_capacity = tokens;
        self
    }

    /// Removes the algorithms that are not in `only` from every issuer.
    pub(in crate::token) const fn allow_only(&mut self, only: &'static [Algorithm]) {
        self.only = Some(only);
    }

    pub(in crate::token) const fn tokens(&self) -> usize {
        self.token_capacity
    }

    pub(in crate::token) fn build(
        self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<DynamicSet, ConfigError> {
        let seconds = self.cache_for.as_secs();
        if !(1..=86_400).contains(&seconds) || self.cache_for.subsec_nanos() > 0 {
            let message = format!(
                "`cache_for` of the issuers is {:?}: give whole seconds, from one second to one day",
                self.cache_for
            );
            return Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
        }
        Ok(DynamicSet {
            source: self.source,
            crypto: Arc::clone(crypto),
            clock: Arc::clone(clock),
            fetched: FetchedKeys::new(),
            cache_for: self.cache_for,
            only: self.only,
            known: Cache::new(self.capacity),
            absent: Cache::new(ABSENT),
            lookups: Mutex::default(),
        })
    }
}

/// The SHA-256 hash of an `iss`, so that no key of a cache is as long as an attacker chooses.
type Name = [u8; 32];

/// The issuers that have been looked up.
pub(in crate::token) struct DynamicSet {
    source: Arc<dyn IssuerSource>,
    crypto: Arc<dyn CryptoProvider>,
    clock: Arc<dyn TimeSource>,
    /// Keeps an issuer's keys when the issuer is looked up again.
    fetched: FetchedKeys,
    cache_for: Duration,
    only: Option<&'static [Algorithm]>,
    /// Only the source decides what is in it.
    known: Cache<Name, Arc<IssuerVerifier>>,
    /// Strangers can fill it. If an entry is evicted, there is one lookup more.
    absent: Cache<Name, Absent>,
    lookups: Mutex<HashMap<Name, Running>>,
}

#[derive(Clone)]
struct Absent {
    since: Duration,
    /// Why the lookup failed, or `None` if the source does not know the issuer.
    error: Option<TokenError>,
}

/// The time of a lookup, and whether its result has been replaced.
pub(super) struct Currency {
    name: Name,
    iss: Arc<str>,
    since: Duration,
    is_replaced: AtomicBool,
}

type Outcome = Result<Option<Arc<IssuerVerifier>>, TokenError>;

#[derive(Clone)]
struct Running {
    until: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// A lookup that a request waits for.
pub(super) struct Lookup(Running);

impl DynamicSet {
    /// Selects the issuer with this name.
    pub(super) fn choose(self: &Arc<Self>, iss: &str) -> Result<Choice, TokenError> {
        if iss.len() > MAX_ISSUER_LEN {
            return Err(unknown());
        }
        let name = self.crypto.sha256(&[iss.as_bytes()]);
        if let Some(issuer) = self.known.get(&name)
            && self.has(&issuer)
        {
            return Ok(Choice::Known(issuer));
        }
        if let Some(absent) = self.recently_absent(&name) {
            return Err(absent.error.unwrap_or_else(unknown));
        }
        match self.look_up(name, iss.into())? {
            Started::Ended(outcome) => Ok(Choice::Known(outcome?.ok_or_else(unknown)?)),
            Started::Running(running) => Ok(Choice::Lookup(Lookup(running))),
        }
    }

    /// Returns whether an issuer still belongs to the set. If it is due, it is looked up in the background.
    pub(super) fn has(self: &Arc<Self>, issuer: &IssuerVerifier) -> bool {
        let Some(currency) = &issuer.currency else {
            return false;
        };
        let age = self.clock.monotonic().saturating_sub(currency.since);
        let is_replaced = currency.is_replaced.load(Ordering::Acquire);
        if age < self.cache_for || is_replaced {
            return !is_replaced;
        }
        if self.recently_absent(&currency.name).is_none() {
            // A failure is remembered, and the issuer is used until it is too old.
            let _ = self.look_up(currency.name, Arc::clone(&currency.iss));
        }
        age < self.cache_for.saturating_mul(2)
    }

    fn recently_absent(&self, name: &Name) -> Option<Absent> {
        let absent = self.absent.get(name)?;
        let age = self.clock.monotonic().saturating_sub(absent.since);
        let pause = if absent.error.is_some() {
            PAUSE
        } else {
            UNKNOWN
        };
        (age < pause).then_some(absent)
    }

    /// Starts a lookup, unless one of this issuer is running.
    fn look_up(self: &Arc<Self>, name: Name, iss: Arc<str>) -> Result<Started, TokenError> {
        let mut lookups = self.lookups();
        let now = Instant::now();
        lookups.retain(|_, running| now < running.until);
        if let Some(running) = lookups.get(&name) {
            return Ok(Started::Running(running.clone()));
        }
        if lookups.len() >= MAX_LOOKUPS {
            return Err(TokenError::unavailable("too many issuers are looked up"));
        }
        let until = now + LOOKUP + GRACE;
        let (sender, outcome) = watch::channel(None);
        let running = Running { until, outcome };
        lookups.insert(name, running.clone());
        drop(lookups);

        let task = Task {
            set: Arc::clone(self),
            since: self.clock.monotonic(),
            name,
            iss,
            sender,
        };
        let mut answer = self.source.issuer(&task.iss);
        // A source in memory needs no task, and no runtime.
        let first_poll = pin!(&mut answer).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(answer) = first_poll {
            return Ok(Started::Ended(task.end(answer)));
        }
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task.run(answer))),
            Err(_) => {
                let error = TokenError::unavailable(NO_RUNTIME);
                return Ok(Started::Ended(task.end(Err(error))));
            }
        }
        Ok(Started::Running(running))
    }

    /// Locks the lookups. No code under the lock can leave them inconsistent, so poisoning is ignored.
    fn lookups(&self) -> MutexGuard<'_, HashMap<Name, Running>> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verifier_of(
        &self,
        issuer: Issuer,
        currency: Currency,
    ) -> Result<Arc<IssuerVerifier>, ConfigError> {
        if issuer.identifier() != &*currency.iss {
            let message = "the source returned an issuer with another identifier";
            return Err(ConfigError::new(ConfigErrorKind::Issuer, message));
        }
        let mut issuer = issuer.fetched_keys(self.fetched.clone());
        if let Some(only) = self.only {
            issuer.allow_only(only);
        }
        #[cfg(feature = "introspection")]
        if issuer.has_opaque_tokens() {
            let message = "an issuer that is looked up cannot have opaque tokens";
            return Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
        }
        if issuer.has_decryption_keys() {
            let message = "an issuer that is looked up cannot have encrypted tokens";
            return Err(ConfigError::new(ConfigErrorKind::Decryption, message));
        }
        let mut verifier = issuer.build(&self.crypto, &self.clock)?;
        verifier.currency = Some(currency);
        Ok(Arc::new(verifier))
    }
}

enum Started {
    Running(Running),
    Ended(Outcome),
}

fn unknown() -> TokenError {
    TokenError::explained(
        TokenErrorKind::IssuerMismatch,
        "the source of issuers does not know it",
    )
}

impl Lookup {
    /// Waits for the end of the lookup, which continues without the caller.
    pub(super) async fn end(self) -> Result<Arc<IssuerVerifier>, TokenError> {
        let Running { until, mut outcome } = self.0;
        if Handle::try_current().is_err() {
            return Err(TokenError::unavailable(NO_RUNTIME));
        }
        let ended = outcome.wait_for(Option::is_some);
        let outcome = match tokio::time::timeout_at(until, ended).await {
            Ok(Ok(outcome)) => outcome.clone(),
            // The task was dropped with its runtime, or its runtime stands still.
            Ok(Err(_)) | Err(_) => None,
        };
        outcome
            .unwrap_or_else(|| {
                Err(TokenError::unavailable(
                    "the lookup of the issuer was given up",
                ))
            })?
            .ok_or_else(unknown)
    }
}

/// A lookup in a task of its own, which ends when it is dropped.
struct Task {
    set: Arc<DynamicSet>,
    since: Duration,
    name: Name,
    iss: Arc<str>,
    sender: watch::Sender<Option<Outcome>>,
}

impl Task {
    async fn run(self, answer: MaybeReady<Result<Option<Issuer>, TokenError>>) {
        let answer = tokio::time::timeout(LOOKUP, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(TokenError::unavailable("timed out")));
        // Requests that wait get the outcome from the channel.
        let _ = self.end(answer);
    }

    fn end(self, answer: Result<Option<Issuer>, TokenError>) -> Outcome {
        let (set, name) = (&self.set, self.name);
        let outcome = answer.and_then(|issuer| {
            let Some(issuer) = issuer else {
                return Ok(None);
            };
            let currency = Currency {
                name,
                iss: Arc::clone(&self.iss),
                since: self.since,
                is_replaced: AtomicBool::new(false),
            };
            let verifier = set.verifier_of(issuer, currency).map_err(|error| {
                tracing::error!(iss = &*self.iss, %error, "the settings of an issuer cannot be used");
                TokenError::unavailable("the settings of the issuer cannot be used")
            })?;
            Ok(Some(verifier))
        });
        let since = set.clock.monotonic();
        match &outcome {
            Ok(issuer) => {
                let old = set.known.get(&name);
                if let Some(currency) = old.as_ref().and_then(|old| old.currency.as_ref()) {
                    currency.is_replaced.store(true, Ordering::Release);
                }
                match issuer {
                    Some(issuer) => {
                        set.absent.remove(&name);
                        set.known.insert(name, Arc::clone(issuer));
                    }
                    None => {
                        set.known.remove(&name);
                        set.absent.insert(name, Absent { since, error: None });
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "an issuer could not be looked up");
                let error = Some(error.clone());
                set.absent.insert(name, Absent { since, error });
            }
        }
        let _ = self.sender.send(Some(outcome.clone()));
        outcome
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.set.lookups().remove(&self.name);
    }
}

impl fmt::Debug for DynamicSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicSet")
            .field("source", &self.source)
            .field("cache_for", &self.cache_for)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Currency")
            .field("iss", &self.iss)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
