//! The settings of a store in PostgreSQL.

use std::{fmt, sync::Arc, time::Duration};

use tokio_postgres::Config;

use super::{
    PostgresReplayStore, PostgresTls, engine::PostgresEngine, session::Database, table::Table,
    tls::Tls, url,
};
use crate::{
    clock::{SystemClock, TimeSource},
    error::{ConfigError, ConfigErrorKind},
    replay::{
        AcceptanceWindows, MemoryReplayStore,
        shared::{
            ClockBound, DEFAULT_CLOCK_MARGIN, DEFAULT_TIME_OUT, Supervised, SupervisedSettings,
        },
    },
};

const DEFAULT_TABLE: &str = "dpop_proofs";
const DEFAULT_CONNECTIONS: usize = 8;

const SHORTEST_TIME_OUT: Duration = Duration::from_millis(10);
const LONGEST_TIME_OUT: Duration = Duration::from_secs(60);
/// A connection with TLS and its first statements take several round trips.
const SHORTEST_OPEN_TIME_OUT: Duration = Duration::from_secs(5);
/// The server's time is compared in whole seconds.
const SHORTEST_MARGIN: Duration = Duration::from_secs(1);
const LONGEST_MARGIN: Duration = Duration::from_secs(300);
const MOST_CONNECTIONS: usize = 1000;

/// The settings of a [`PostgresReplayStore`]. [`PostgresReplayStore::builder`] makes one.
#[must_use = "`build` makes the store"]
pub struct PostgresReplayStoreBuilder {
    config: Config,
    table: String,
    time_out: Duration,
    clock_margin: Duration,
    max_connections: usize,
    root_certificates: Option<Vec<u8>>,
    tls: Option<PostgresTls>,
    clock: Arc<dyn TimeSource>,
    windows: AcceptanceWindows,
    memory: Option<MemoryReplayStore>,
}

impl PostgresReplayStoreBuilder {
    pub(super) fn new(url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            config: url::parse(url)?,
            table: DEFAULT_TABLE.to_owned(),
            time_out: DEFAULT_TIME_OUT,
            clock_margin: DEFAULT_CLOCK_MARGIN,
            max_connections: DEFAULT_CONNECTIONS,
            root_certificates: None,
            tls: None,
            clock: Arc::new(SystemClock),
            windows: AcceptanceWindows::new(),
            memory: None,
        })
    }

    /// Sets the name of the table, with or without a schema before it. Defaults to `dpop_proofs`.
    ///
    /// The name consists of letters, digits and underscores, and its case counts. All nodes that serve the same
    /// resources use the same table.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// Sets how long a call may take, with the wait for a connection. Defaults to one second.
    ///
    /// A request whose call takes longer is rejected with 503.
    pub const fn time_out(mut self, time_out: Duration) -> Self {
        self.time_out = time_out;
        self
    }

    /// Sets by how much the clock of a node may differ from that of the server, in whole seconds. Defaults to 5
    /// seconds. Set the same on all nodes.
    ///
    /// Records are kept for twice as long in addition. A node whose clock differs by more rejects all requests.
    pub const fn clock_margin(mut self, margin: Duration) -> Self {
        self.clock_margin = margin;
        self
    }

    /// Sets how many connections this store may have. Defaults to 8.
    ///
    /// They are opened as they are needed. A server that waits for its disk commits the insertions of several
    /// connections at once, so more connections can record more proofs a second.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Trusts only these certificates, in PEM, in place of those of the operating system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Selects the library for TLS, which matters only if two are compiled in.
    pub const fn tls(mut self, tls: PostgresTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets the clock, which has to be that of the configuration. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the windows of the store. Defaults to those of this process.
    ///
    /// If nodes that share the table accept proofs for different times, also while you change their `max_age` or
    /// `leeway` one after the other, give all of them [`AcceptanceWindows::at_least`] the longest of these times.
    /// Otherwise one node may still accept a proof when the record of another one has ended.
    pub fn windows(mut self, windows: AcceptanceWindows) -> Self {
        self.windows = windows;
        self
    }

    /// Accepts proofs by the memory of this node while the server is out of reach, in place of 503.
    ///
    /// # Security
    ///
    /// While the server is out of reach, each node accepts a copied proof once. A partition that an attacker causes is
    /// therefore enough for replays. When the server answers again, it does not know the proofs of that time, and
    /// other nodes accept them until they are too old.
    pub fn danger_fall_back_to_memory(mut self, store: MemoryReplayStore) -> Self {
        self.memory = Some(store);
        self
    }

    /// Makes the store. It connects when it is first used, or with
    /// [`warm_up`](crate::replay::ReplayStore::warm_up).
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the name of the table, a duration or the number of connections is out of bounds, or
    /// if TLS cannot be set up.
    pub fn build(self) -> Result<PostgresReplayStore, ConfigError> {
        let error = |message| ConfigError::new(ConfigErrorKind::Replay, message);
        let table = Table::new(&self.table)?;
        if self.time_out < SHORTEST_TIME_OUT || self.time_out > LONGEST_TIME_OUT {
            return Err(error(
                "the time-out of PostgreSQL is not between 10 milliseconds and one minute",
            ));
        }
        if self.clock_margin.subsec_nanos() > 0
            || self.clock_margin < SHORTEST_MARGIN
            || self.clock_margin > LONGEST_MARGIN
        {
            return Err(error(
                "the clock margin of PostgreSQL is not a number of whole seconds between 1 and 300",
            ));
        }
        if !(1..=MOST_CONNECTIONS).contains(&self.max_connections) {
            return Err(error(
                "the connections to PostgreSQL are not between 1 and 1000",
            ));
        }
        let tls = Tls::new(&self.config, self.tls, self.root_certificates.as_deref())?;
        let database = Arc::new(Database {
            config: self.config,
            tls,
            statements: Arc::new(table.statements()),
            table,
            connections: self.max_connections,
        });
        let bound = ClockBound::new(self.clock_margin, self.clock);
        let engine = PostgresEngine::new(Arc::clone(&database), bound.clone());
        let settings = SupervisedSettings {
            time_out: self.time_out,
            open_time_out: self.time_out.saturating_mul(3).max(SHORTEST_OPEN_TIME_OUT),
            bound,
            fallback: self.memory,
            windows: self.windows,
        };
        Ok(PostgresReplayStore {
            store: Supervised::new(engine, settings),
            database,
        })
    }
}

impl fmt::Debug for PostgresReplayStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplayStoreBuilder")
            .field("table", &self.table)
            .field("time_out", &self.time_out)
            .field("clock_margin", &self.clock_margin)
            .field("max_connections", &self.max_connections)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> PostgresReplayStoreBuilder {
        PostgresReplayStoreBuilder::new("postgres://u:hunter2@localhost/d").unwrap()
    }

    #[test]
    fn a_setting_out_of_bounds_is_named() {
        let (short, long) = (Duration::from_millis(9), Duration::from_millis(60_001));
        let seconds = Duration::from_secs;
        for (builder, part) in [
            (builder().table("a;b"), "table"),
            (builder().time_out(short), "time-out"),
            (builder().time_out(long), "time-out"),
            (builder().clock_margin(seconds(0)), "clock margin"),
            (builder().clock_margin(seconds(301)), "clock margin"),
            (
                builder().clock_margin(Duration::from_millis(1500)),
                "clock margin",
            ),
            (builder().max_connections(0), "connections"),
            (builder().max_connections(1001), "connections"),
        ] {
            let error = builder.build().unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Replay);
            assert!(error.to_string().contains(part), "{error}");
        }
        for builder in [
            builder()
                .time_out(Duration::from_millis(10))
                .clock_margin(seconds(1))
                .max_connections(1),
            builder()
                .time_out(seconds(60))
                .clock_margin(seconds(300))
                .max_connections(1000),
        ] {
            builder.build().unwrap();
        }
    }

    #[test]
    fn no_part_of_the_url_is_in_the_text_of_a_value() {
        let text = format!("{:?} {:?}", builder(), builder().build().unwrap());
        assert!(
            !text.contains("hunter2") && !text.contains("localhost"),
            "{text}"
        );
    }

    #[cfg(not(any(feature = "postgres-native-tls", feature = "postgres-rustls")))]
    #[test]
    fn tls_needs_a_feature() {
        let builder = PostgresReplayStoreBuilder::new("postgres://u@db.example.com/d").unwrap();
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("`postgres-rustls`"), "{error}");
    }
}
