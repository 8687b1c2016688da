//! Sessions at the database: a pool of connections to one server.

use std::{fmt, sync::Arc, time::Duration};

use deadpool_postgres::{Hook, HookError, Object, Pool, PoolError, Runtime};
use tokio::{sync::Mutex, time::timeout};
use tokio_postgres::{
    Config, Row,
    config::Host,
    types::{FromSql, ToSql},
};

use super::{
    DatabaseError,
    table::{BATCH, Statements, Table},
    tls::Tls,
};
use crate::{
    clock::UnixTime,
    replay::{Incarnation, shared::ClockBound},
};

/// More batches of expired rows than this are left for the next second.
const BATCHES: usize = 50;
/// How long one batch may take.
const LONGEST_BATCH: Duration = Duration::from_secs(30);

/// Settings of each connection.
///
/// A server that answers before a record is on disk loses it when one of its processes crashes, and such a crash is
/// not seen afterwards. `synchronous_commit` is therefore at least `local`. Plans are
/// made while the table is small, and kept while it grows, so only those that use the indexes are allowed. The isolation is the one in which a concurrent insertion waits and is not an error.
const SETTINGS: &str = "\
    SELECT set_config('synchronous_commit', 'local', false) \
        WHERE current_setting('synchronous_commit') = 'off';\
    SET enable_seqscan = off;\
    SET enable_bitmapscan = off;\
    SET enable_hashjoin = off;\
    SET enable_mergejoin = off;\
    SET enable_sort = off;\
    SET default_transaction_isolation = 'read committed';\
    SET default_transaction_read_only = off";

/// Where the table is, and how to get there.
pub(super) struct Database {
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) table: Table,
    pub(super) statements: Arc<Statements>,
    pub(super) connections: usize,
}

/// Connections to one server.
#[derive(Clone)]
pub(super) struct Session {
    pool: Pool,
    statements: Arc<Statements>,
    table: Arc<str>,
    /// Held while expired rows are removed.
    upkeep: Arc<Mutex<()>>,
}

/// What the server says about itself and the records.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    /// The server's clock, rounded down.
    pub(super) now: UnixTime,
    /// `None` if records may have been lost since the marker was made.
    pub(super) incarnation: Option<Incarnation>,
}

/// The answer about one proof.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The server's clock, rounded down.
    pub(super) now: UnixTime,
    /// Whether the incarnation is still the same. If not, nothing was recorded.
    pub(super) is_same: bool,
    /// Whether the proof was recorded.
    pub(super) is_fresh: bool,
}

impl Database {
    /// Returns where the servers are, without credentials.
    pub(super) fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = (self.config.get_hosts().iter().enumerate()).map(|(index, host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(folder) => folder.display().to_string(),
            }
        });
        let hosts: Vec<_> = hosts.collect();
        let table = &self.table.name;
        format!("server {}, table {table}", hosts.join(", "))
    }

    /// Sets up a pool. It connects when it is used.
    pub(super) fn session(&self) -> Result<Session, DatabaseError> {
        let settings = Hook::async_fn(|client, _| {
            Box::pin(async move {
                let done = client.batch_execute(SETTINGS).await;
                done.map_err(HookError::Backend)
            })
        });
        let pool = Pool::builder(self.tls.manager(self.config.clone()))
            .max_size(self.connections)
            .post_create(settings)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| DatabaseError::new(error.to_string()))?;
        Ok(Session {
            pool,
            statements: Arc::clone(&self.statements),
            table: self.table.name.as_str().into(),
            upkeep: Arc::default(),
        })
    }
}

impl Session {
    /// Reads the state of the server.
    pub(super) async fn state(&self) -> Result<State, DatabaseError> {
        let row = self.one(&self.statements.check, &[]).await?;
        let now = UnixTime::from_secs(column(&row, 0)?);
        let id: Option<&[u8]> = column(&row, 1)?;
        let since: Option<i64> = column(&row, 2)?;
        let incarnation = match (id.map(TryInto::try_into), since) {
            (Some(Ok(id)), Some(since)) => Some(Incarnation::new(id, UnixTime::from_secs(since))),
            (None, _) => None,
            _ => return Err(DatabaseError::new("the marker in the table is damaged")),
        };
        Ok(State { now, incarnation })
    }

    /// Replaces the marker with a new one, unless another node has been faster.
    ///
    /// A marker is replaced if it does not fit the server, or if it names `old`.
    pub(super) async fn begin(
        &self,
        incarnation: Incarnation,
        old: Option<Incarnation>,
    ) -> Result<(), DatabaseError> {
        let (id, since) = (incarnation.id().as_slice(), incarnation.since().as_secs());
        let old = old.as_ref().map(|old| old.id().as_slice());
        self.rows(&self.statements.begin, &[&id, &since, &old])
            .await?;
        Ok(())
    }

    /// Records a proof, unless it is on record or the incarnation is another one.
    ///
    /// `keep` includes `grace`.
    pub(super) async fn insert(
        &self,
        proof: &[u8; 32],
        keep: Duration,
        incarnation: &[u8; 16],
        grace: Duration,
    ) -> Result<Answer, DatabaseError> {
        let (keep, grace) = (millis(keep), millis(grace));
        let (proof, incarnation) = (proof.as_slice(), incarnation.as_slice());
        let row = self
            .one(
                &self.statements.insert,
                &[&proof, &keep, &incarnation, &grace],
            )
            .await?;
        Ok(Answer {
            now: UnixTime::from_secs(column(&row, 0)?),
            is_same: column(&row, 1)?,
            is_fresh: column(&row, 2)?,
        })
    }

    /// Removes expired rows in a task of their own, unless one runs.
    pub(super) fn remove_expired(&self, bound: &ClockBound) {
        let Ok(alone) = Arc::clone(&self.upkeep).try_lock_owned() else {
            return;
        };
        let (session, bound) = (self.clone(), bound.clone());
        drop(tokio::spawn(async move {
            for _ in 0..BATCHES {
                match timeout(LONGEST_BATCH, session.remove_batch(&bound)).await {
                    Ok(Ok(true)) => {}
                    Ok(Ok(false)) => break,
                    Ok(Err(error)) => {
                        tracing::warn!(target: "dpop_tower::replay", %error, "expired rows are not removed");
                        break;
                    }
                    Err(_) => {
                        tracing::warn!(target: "dpop_tower::replay", "expired rows are not removed in time");
                        break;
                    }
                }
            }
            drop(alone);
        }));
    }

    /// Removes a batch of expired rows, if the clocks do not differ. Returns whether there may be more of them.
    async fn remove_batch(&self, bound: &ClockBound) -> Result<bool, DatabaseError> {
        let margin = i64::try_from(bound.margin().as_secs()).unwrap_or(i64::MAX);
        let now = bound.now().as_secs();
        let row = self.one(&self.statements.remove, &[&now, &margin]).await?;
        let removed: i64 = column(&row, 0)?;
        Ok(removed >= BATCH)
    }

    /// Makes the table.
    pub(super) async fn create(&self, statements: &str) -> Result<(), DatabaseError> {
        let lease = self.connection().await?;
        let done = lease.object()?.batch_execute(statements).await;
        lease.end(done.map_err(|error| self.error(&error)))
    }

    async fn one(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, DatabaseError> {
        let mut rows = self.rows(statement, values).await?;
        rows.pop()
            .ok_or_else(|| DatabaseError::new("PostgreSQL returned no row"))
    }

    async fn rows(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DatabaseError> {
        let lease = self.connection().await?;
        let client = lease.object()?;
        let done = match client.prepare_cached(statement).await {
            Ok(prepared) => client.query(&prepared, values).await,
            Err(error) => Err(error),
        };
        lease.end(done.map_err(|error| self.error(&error)))
    }

    fn error(&self, error: &tokio_postgres::Error) -> DatabaseError {
        DatabaseError::of_driver(error, &self.table)
    }

    async fn connection(&self) -> Result<Lease, DatabaseError> {
        match self.pool.get().await {
            Ok(object) => Ok(Lease(Some(object))),
            Err(
                PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)),
            ) => Err(self.error(&error)),
            Err(error) => Err(DatabaseError::new(error.to_string())),
        }
    }
}

/// A connection for one call. It returns to the pool only when the server has answered. A call that is dropped before
/// drops the connection as well, or the next call would wait for its answer.
struct Lease(Option<Object>);

impl Lease {
    fn object(&self) -> Result<&Object, DatabaseError> {
        self.0
            .as_ref()
            .ok_or_else(|| DatabaseError::new("no connection"))
    }

    fn end<T>(mut self, done: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if done
            .as_ref()
            .err()
            .is_none_or(|error| error.keeps_connection)
        {
            drop(self.0.take());
        }
        done
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// Reads a column whose type this module has chosen.
fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, DatabaseError> {
    row.try_get(index)
        .map_err(|error| DatabaseError::new(format!("PostgreSQL: {error}")))
}

/// Returns whole milliseconds, at most a hundred years, which every timestamp of PostgreSQL can be added to.
fn millis(duration: Duration) -> i64 {
    const MAX: i64 = 100 * 366 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(MAX).min(MAX)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}
