//! A replay store in PostgreSQL, for several nodes.

use std::{fmt, sync::Arc, time::Duration};

use self::{engine::PostgresEngine, error::DatabaseError, session::Database};
use super::{
    AcceptanceWindows, Freshness, Incarnation, ReplayStore, StoreError, UsedProof,
    shared::{Failure, Supervised},
};
use crate::{error::ConfigError, future::MaybeReady};

mod builder;
mod engine;
mod error;
mod session;
mod table;
mod tls;
mod url;

pub use self::builder::PostgresReplayStoreBuilder;

/// The time for making the table, which may have to wait for other transactions.
const CREATION_TIME_OUT: Duration = Duration::from_secs(30);

/// A [`ReplayStore`] in PostgreSQL, which several nodes share.
///
/// Take it if you have a PostgreSQL server and no Redis, or if a proof must not pass twice even if the server fails:
/// with a synchronous standby, no record is lost.
///
/// ```
/// use std::time::Duration;
/// use dpop_tower::replay::PostgresReplayStore;
///
/// let store = PostgresReplayStore::builder("postgres://orders:secret@localhost/orders")?
///     .table("dpop_proofs")
///     .time_out(Duration::from_millis(500))
///     .build()?;
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// Make the table once, and wait until the store is connected before you serve requests:
///
/// ```
/// # use dpop_tower::replay::{PostgresReplayStore, ReplayStore, StoreError};
/// # async fn start(store: PostgresReplayStore) -> Result<(), StoreError> {
/// store.create_table().await?;
/// store.warm_up().await?;
/// # Ok(())
/// # }
/// ```
///
/// # How it works
///
/// Each proof is one statement and one round trip: an `INSERT … ON CONFLICT`, which PostgreSQL executes atomically.
/// The key is [`ReplayKey::proof`](super::ReplayKey::proof), 32 bytes. Expired rows are removed every second, a
/// thousand at a time. Each node does so, and they do not wait for each other.
///
/// The store connects by itself, needs a tokio runtime with I/O and time, and reconnects when the connection is lost.
/// While the server is out of reach, requests are rejected with 503.
///
/// There is no limit per client key or subject. A client with a valid token can therefore fill the disk with as many
/// rows as it can send requests in the lifetime of a proof. Limit the rate of requests in front of the service.
///
/// # The fence
///
/// The table contains a marker with the [`Incarnation`]. Every statement compares the marker with the server: with
/// the time at which it started, its timeline, and the files of the table. If the server was restarted, if a
/// standby was promoted, or if the table was truncated, restored or emptied by a crash, then the marker is no longer
/// valid. A node replaces it with a new one, all nodes use that, and proofs that were made before are
/// [fenced](super#the-fence). `VACUUM FULL` has the same effect.
///
/// Do not delete live rows by hand. Use `TRUNCATE` to empty the table.
///
/// # Clocks
///
/// Nodes and server must not differ by more than the [margin](PostgresReplayStoreBuilder::clock_margin). Each
/// statement returns the server's time. A node whose clock differs more rejects requests with 503, and says so in its
/// log. Only durations are sent to the server.
///
/// # Settings of the server
///
/// | setting | effect |
/// |---|---|
/// | `synchronous_commit = on` | the default. Proofs are on disk before they are accepted |
/// | `synchronous_commit = off` | the store sets `local` in its sessions, since a crash would lose records unseen |
/// | `synchronous_standby_names` | proofs are on the standby, too. Without a standby, calls time out and requests are rejected |
/// | an `UNLOGGED` table | several times faster. A crash empties the table, which the fence covers |
/// | `fsync = off` | a crash of the machine can damage the database |
///
/// Connect to the server itself, or through a pooler in session mode. The store has a pool of its own, and relies on
/// settings of its sessions.
///
/// # Security
///
/// Two servers that both accept writes because a partition separates them do not know of each other's records. A
/// proof without a nonce can then pass on both, and a proof with a nonce on one only, because the nonce names the
/// incarnation. With `synchronous_standby_names`, the old primary accepts no proof once its standby was promoted.
/// Without it, make sure that the old primary has ended before you promote.
pub struct PostgresReplayStore {
    store: Supervised<PostgresEngine>,
    database: Arc<Database>,
}

/// Which library makes the TLS connections of a [`PostgresReplayStore`].
///
/// It matters only if both features are on. The default is then `Native`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostgresTls {
    /// OpenSSL, or the library of the operating system on macOS and Windows. Feature `postgres-native-tls`.
    #[cfg(feature = "postgres-native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres-native-tls")))]
    Native,
    /// rustls with AWS-LC. Feature `postgres-rustls`.
    #[cfg(feature = "postgres-rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres-rustls")))]
    Rustls,
}

impl PostgresTls {
    #[allow(unreachable_code, reason = "depends on the features")]
    const fn default_of_the_build() -> Option<Self> {
        #[cfg(feature = "postgres-native-tls")]
        return Some(Self::Native);
        #[cfg(feature = "postgres-rustls")]
        return Some(Self::Rustls);
        None
    }
}

impl PostgresReplayStore {
    /// Starts with the URL of a database, `postgres://user:password@host:port/database`.
    ///
    /// `postgresql://` is the same. Several hosts, separated by commas, are tried until one accepts writes. Special
    /// characters in the password are percent-encoded. The directory of a Unix socket is the host, with its slashes as
    /// `%2F`.
    ///
    /// `sslmode` is `disable`, `prefer`, `require`, `verify-ca` or `verify-full`. It defaults to `require`, and to
    /// `disable` if all hosts are this machine. A connection with TLS is always verified as with `verify-full`.
    /// With `prefer`, an attacker on the network can prevent TLS. TLS needs the feature `postgres-native-tls` or
    /// `postgres-rustls`.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the part of the URL that is wrong. It contains nothing of the URL.
    pub fn builder(url: &str) -> Result<PostgresReplayStoreBuilder, ConfigError> {
        PostgresReplayStoreBuilder::new(url)
    }

    /// Makes the table, unless it is there.
    ///
    /// Several nodes can call it at once, and at each start. The user needs the right to create tables in the schema.
    /// To make the table by hand, run this, with your own name for the table if you set one:
    ///
    /// ```sql
    #[doc = include_str!("schema.sql")]
    /// ```
    ///
    /// The user of the nodes then needs `SELECT`, `INSERT`, `UPDATE` and `DELETE`.
    ///
    /// # Errors
    ///
    /// The future yields an error if the server is out of reach or forbids it.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        self.create(false).await
    }

    /// Makes the table as `UNLOGGED`, unless it is there.
    ///
    /// PostgreSQL does not write an unlogged table to its log. Insertions are several times faster, and a crash of the
    /// server empties the table. The [fence](#the-fence) covers that: each client that uses nonces gets one more
    /// challenge. The table is not on standbys, so it is also empty after a promotion.
    ///
    /// # Errors
    ///
    /// The future yields an error if the server is out of reach or forbids it.
    pub async fn create_unlogged_table(&self) -> Result<(), StoreError> {
        self.create(true).await
    }

    async fn create(&self, unlogged: bool) -> Result<(), StoreError> {
        let statements = self.database.table.creation(unlogged);
        let session = self.database.session().map_err(Failure::from)?;
        let created = tokio::time::timeout(CREATION_TIME_OUT, session.create(&statements)).await;
        created
            .unwrap_or_else(|_| {
                Err(DatabaseError::new(
                    "PostgreSQL did not answer in 30 seconds",
                ))
            })
            .map_err(|error| Failure::from(error).into())
    }
}

impl ReplayStore for PostgresReplayStore {
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
        Some(format!("PostgresReplayStore, {}", self.database.place()))
    }
}

impl fmt::Debug for PostgresReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplayStore")
            .field("table", &self.database.table.name)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
