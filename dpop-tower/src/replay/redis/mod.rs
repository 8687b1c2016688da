//! The replay store in Redis or Valkey.

use std::{fmt, sync::Arc, sync::Mutex, time::Duration};

use self::{
    connect::Connector,
    engine::RedisEngine,
    location::{Credentials, Location},
    server::Wanted,
};
use super::{
    AcceptanceWindows, Freshness, Incarnation, MemoryReplayStore, ReplayStore, StoreError,
    UsedProof,
    shared::{ClockBound, DEFAULT_CLOCK_MARGIN, DEFAULT_TIME_OUT, Supervised, SupervisedSettings},
};
use crate::{
    clock::{SystemClock, TimeSource},
    error::{ConfigError, ConfigErrorKind},
    future::MaybeReady,
};

mod connect;
mod engine;
mod errors;
mod location;
mod marker;
mod server;
mod topology;

/// A [`ReplayStore`] in Redis or Valkey, which all nodes of a service share. Needs the feature `redis`.
///
/// ```no_run
/// # #[cfg(feature = "test-util")] {
/// # use dpop_tower::test_util::TestIssuer;
/// use dpop_tower::{DpopConfig, PublicOrigin, replay::{RedisReplayStore, ReplayStore}};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # let issuer = TestIssuer::new().tokens();
/// let store = RedisReplayStore::builder("redis://dpop:a-password@redis.internal:6379")?.build()?;
/// // Without this call the store connects with the first request.
/// store.warm_up().await?;
/// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer)
///     .replay_store(store)
///     .build()?;
/// # Ok(())
/// # }
/// # }
/// ```
///
/// # The URL
///
/// | URL | servers |
/// |---|---|
/// | `redis://user:password@host:port/database` | one server |
/// | `redis-sentinel://user:password@host1:port1,host2:port2/service/database` | the master that the sentinels name |
/// | `redis-cluster://user:password@host1:port1,host2:port2` | a cluster; give several of its nodes |
///
/// `rediss`, `rediss-sentinel` and `rediss-cluster` use TLS, for the sentinels too. User, password, ports and
/// database are optional. User and password are those of the servers; sentinels have
/// [their own](RedisReplayStoreBuilder::sentinel_credentials). A password is percent-encoded.
///
/// # What it costs
///
/// A request takes one round trip, on one connection for each master that all requests share. A record takes about
/// 130 bytes of the server's memory for as long as the proof is remembered, plus twice the margin of the clocks.
/// The store does not limit the records of a client key or a subject.
///
/// # The fence
///
/// The store has [a fence](super#the-fence). A new incarnation begins when a server restarts, when a replica is
/// promoted, when a slot of a cluster moves to another server, when the records are deleted or evicted, and when
/// the clock of the server was off. The command that records a proof checks this in the same step. Where one node
/// still writes to an old master while others use the new one, set
/// [`wait_for_replicas`](RedisReplayStoreBuilder::wait_for_replicas).
///
/// # Errors
///
/// While no server can be used, each call fails at once with
/// [`StoreErrorKind::Unavailable`](super::StoreErrorKind::Unavailable), and the store goes on trying to connect. A
/// server without memory yields [`StoreErrorKind::Full`](super::StoreErrorKind::Full). The store is unavailable as
/// well while the server evicts entries, is a replica, or has a clock that is off.
///
/// # Settings of the server
///
/// `maxmemory-policy` has to be `noeviction`, whether or not there is a limit of memory. The user needs these rights
/// at least, with `SELECT` for another database than 0, `WAIT` for replicas, and the two of `CLUSTER` for a cluster:
///
/// ```text
/// ACL SETUSER dpop on >a-password resetkeys resetchannels -@all ~dpop:*
/// ACL SETUSER dpop +evalsha +script|load +info +time +get +set +pexpire
/// ACL SETUSER dpop ~{dpop:* +select +wait +cluster|slots +cluster|keyslot
/// ```
pub struct RedisReplayStore {
    store: Supervised<RedisEngine>,
    /// Where the servers are, without credentials.
    place: String,
}

impl RedisReplayStore {
    /// Begins a store in the servers that a URL names.
    ///
    /// ```
    /// use dpop_tower::replay::RedisReplayStore;
    ///
    /// let error = RedisReplayStore::builder("redis://redis.internal:port").unwrap_err();
    /// assert_eq!(error.to_string(), "the port of the replay store's URL is not a number from 1 to 65535");
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the part of the URL that is wrong. It does not contain the URL.
    pub fn builder(url: &str) -> Result<RedisReplayStoreBuilder, ConfigError> {
        Ok(RedisReplayStoreBuilder {
            location: Location::parse(url)?,
            key_prefix: "dpop:".to_owned(),
            time_out: DEFAULT_TIME_OUT,
            clock_margin: DEFAULT_CLOCK_MARGIN,
            replicas: 0,
            root_certificates: None,
            sentinel_credentials: Credentials::default(),
            clock: Arc::new(SystemClock),
            allow_eviction: false,
            fallback: None,
            windows: AcceptanceWindows::new(),
        })
    }
}

impl ReplayStore for RedisReplayStore {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.store.check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        self.store.windows()
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.store.incarnation()
    }

    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        self.store.warm_up()
    }

    fn readiness(&self) -> Result<(), StoreError> {
        self.store.readiness()
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    fn description(&self) -> Option<String> {
        Some(format!("RedisReplayStore, {}", self.place))
    }
}

impl fmt::Debug for RedisReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisReplayStore")
            .field(&self.store)
            .finish()
    }
}

/// The settings of a [`RedisReplayStore`].
#[must_use]
pub struct RedisReplayStoreBuilder {
    location: Location,
    key_prefix: String,
    time_out: Duration,
    clock_margin: Duration,
    replicas: u32,
    root_certificates: Option<String>,
    sentinel_credentials: Credentials,
    clock: Arc<dyn TimeSource>,
    allow_eviction: bool,
    fallback: Option<MemoryReplayStore>,
    windows: AcceptanceWindows,
}

impl RedisReplayStoreBuilder {
    /// Sets what all keys begin with. Defaults to `dpop:`.
    ///
    /// Services that share a server but accept different tokens can have a prefix each. Nodes of one service have
    /// to use the same prefix, or each of them accepts a copied proof.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// Sets how long one command may take. Defaults to one second.
    ///
    /// A request whose command takes longer is rejected with 503.
    pub const fn time_out(mut self, time: Duration) -> Self {
        self.time_out = time;
        self
    }

    /// Sets by how many seconds the clock of the server and that of this node may differ. Defaults to 5 seconds.
    ///
    /// Records stay twice as long beyond the life of the proof, because one node can be ahead of the server while
    /// another is behind. The difference is checked with each command. A node whose clock differs by more rejects
    /// all requests and says so in the log, because it cannot tell which clock is wrong, and a server whose clock
    /// jumped may have removed records.
    pub const fn clock_margin(mut self, margin: Duration) -> Self {
        self.clock_margin = margin;
        self
    }

    /// Rejects a proof with 503 unless `count` replicas have acknowledged its record. Defaults to zero.
    ///
    /// Without it, a master that was cut off from the others records proofs that the new master does not know, until
    /// it learns that it has been replaced. A node that still reaches only the old master then accepts a proof that
    /// the others accept as well. Set it to at least half of the replicas.
    ///
    /// A request waits for the replicas' answers, for half of the [time-out](Self::time_out) at most.
    pub const fn wait_for_replicas(mut self, count: u32) -> Self {
        self.replicas = count;
        self
    }

    /// Sets the certificate authorities, in PEM, that sign the certificates of the servers. Defaults to those of
    /// the operating system.
    ///
    /// If the process has not chosen a backend for rustls yet, and the build has the feature `aws-lc-rs`,
    /// [`build`](Self::build) chooses AWS-LC for a URL with TLS.
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Sets the user and the password of the sentinels. An empty user is the default user. Without this, sentinels
    /// are asked without a password.
    pub fn sentinel_credentials(mut self, user: &str, password: &str) -> Self {
        self.sentinel_credentials = Credentials {
            user: (!user.is_empty()).then(|| user.to_owned()),
            password: Some(password.to_owned()),
        };
        self
    }

    /// Sets the clock, which has to be that of the configuration. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the windows of the store. Defaults to those of this process.
    ///
    /// If nodes that share the servers accept proofs for different times, also while you change their `max_age` or
    /// `leeway` one after the other, give all of them [`AcceptanceWindows::at_least`] the longest of these times.
    /// Otherwise one node may still accept a proof when the record of another one has ended.
    pub fn windows(mut self, windows: AcceptanceWindows) -> Self {
        self.windows = windows;
        self
    }

    /// Uses a server that removes live entries when its memory is full.
    ///
    /// # Security
    ///
    /// Anyone who can make the server store a lot, such as a client with many proofs, makes it forget a proof that was
    /// used and can send that proof again.
    pub const fn danger_allow_eviction(mut self) -> Self {
        self.allow_eviction = true;
        self
    }

    /// Uses a store in memory while no server can be used, instead of rejecting requests.
    ///
    /// Its records are checked as well after the return of the server, until they expire.
    ///
    /// # Security
    ///
    /// Each node accepts a copied proof once in the meantime, and a node that starts in the meantime knows of no proof
    /// that was used before. Anyone who can interrupt the connection to the server can replay proofs.
    pub fn danger_fall_back_to_memory(mut self, store: MemoryReplayStore) -> Self {
        self.fallback = Some(store);
        self
    }

    /// Makes the store. It connects when it is used, or with [`ReplayStore::warm_up`].
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the time-out is zero or above a minute, if the margin is above an hour, if the
    /// prefix contains a brace or is longer than 100 bytes, or if the certificates cannot be read.
    pub fn build(self) -> Result<RedisReplayStore, ConfigError> {
        let wrong = |text: &'static str| Err(ConfigError::new(ConfigErrorKind::Replay, text));
        if self.time_out.is_zero() || self.time_out > Duration::from_secs(60) {
            return wrong(
                "the time-out of the replay store has to be above zero and at most a minute",
            );
        }
        if self.clock_margin > Duration::from_secs(3600) {
            return wrong("the clock margin of the replay store has to be at most an hour");
        }
        if self.key_prefix.contains(['{', '}']) || self.key_prefix.len() > 100 {
            return wrong(
                "the key prefix of the replay store has to be at most 100 bytes long, without braces",
            );
        }
        let connector = Connector::new(
            &self.location,
            self.root_certificates.as_deref(),
            self.time_out,
        )?;
        let bound = ClockBound::new(self.clock_margin, self.clock);
        let settings = SupervisedSettings {
            time_out: self.time_out,
            // For every host of the URL and every master there are a few connections and commands.
            open_time_out: self.time_out.saturating_mul(10),
            bound: bound.clone(),
            fallback: self.fallback,
            windows: self.windows,
        };
        let place = self.location.to_string();
        let engine = RedisEngine {
            sentinels: connector.for_sentinels(self.sentinel_credentials),
            connector,
            prefix: self.key_prefix,
            bound,
            wanted: Wanted {
                cluster: self.location.kind == location::Kind::Cluster,
                replicas: self.replicas,
                allow_eviction: self.allow_eviction,
            },
            location: self.location,
            time_out: self.time_out,
            evicted: Mutex::default(),
        };
        Ok(RedisReplayStore {
            store: Supervised::new(engine, settings),
            place,
        })
    }
}

impl fmt::Debug for RedisReplayStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplayStoreBuilder")
            .field("location", &self.location)
            .field("key_prefix", &self.key_prefix)
            .field("time_out", &self.time_out)
            .field("clock_margin", &self.clock_margin)
            .field("wait_for_replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}
