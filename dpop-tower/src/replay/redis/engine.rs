//! Sessions with the masters, and the script that records a proof.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::{RedisError, aio::MultiplexedConnection, cmd, pipe};

use super::{
    connect::Connector,
    errors::failure,
    location::{Host, Kind, Location},
    marker,
    server::{Info, Wanted, check_time},
    topology::Topology,
};
use crate::replay::{
    Freshness, Incarnation,
    shared::{ClockBound, Engine, Failure, Opening, Record},
};

/// Records a proof, unless the server or its records are not those of the session.
///
/// `INFO` costs a few microseconds here. It shows a restart or a promotion also behind a proxy that changes the server
/// without a trace.
const SCRIPT: &str = "\
local time = redis.call('TIME')
if not string.find(redis.call('INFO', 'replication'), ARGV[3], 1, true) or redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return {2, time[1]}
end
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[2]) then
  return {1, time[1]}
end
return {0, time[1]}";

/// The number of connections to a master on which calls wait for replicas. `WAIT` covers what was written on the
/// same connection, and blocks it.
const WAITING: usize = 8;

pub(super) struct RedisEngine {
    pub(super) location: Location,
    pub(super) connector: Connector,
    pub(super) sentinels: Connector,
    pub(super) prefix: String,
    pub(super) bound: ClockBound,
    pub(super) wanted: Wanted,
    pub(super) time_out: Duration,
    /// The evictions that each master had, by its replication identifier.
    pub(super) evicted: Mutex<BTreeMap<String, u64>>,
}

/// Connections to all masters.
pub(super) struct Session {
    masters: Vec<Shard>,
    buckets: Vec<Bucket>,
    /// The digest of the script, by which servers know it.
    script: String,
}

struct Shard {
    connection: MultiplexedConnection,
    waiting: Vec<MultiplexedConnection>,
    next: AtomicUsize,
    replication_id: String,
    /// The line of `INFO` that the script looks for.
    line: String,
}

struct Bucket {
    master: usize,
    prefix: String,
    marker: String,
    text: String,
}

impl Engine for RedisEngine {
    type Session = Session;

    async fn open(&self, opening: Opening) -> Result<(Session, Incarnation), Failure> {
        let found = Topology::find(
            &self.location,
            &self.connector,
            &self.sentinels,
            &self.prefix,
        )
        .await?;
        let mut script = String::new();
        let mut masters = Vec::with_capacity(found.masters.len());
        for master in found.masters {
            let shard;
            (shard, script) = self.shard(&master.host, master.connection).await?;
            masters.push(shard);
        }
        let buckets = found.buckets.into_iter().filter_map(|bucket| {
            let shard = masters.get(bucket.master)?;
            Some(Bucket {
                marker: marker::key(&bucket.prefix, &shard.replication_id),
                master: bucket.master,
                prefix: bucket.prefix,
                text: String::new(),
            })
        });
        let mut session = Session {
            buckets: buckets.collect(),
            masters,
            script,
        };
        let mut incarnation = self.mark(&mut session, opening, false).await?;
        if !opening.accepts(incarnation) {
            incarnation = self.mark(&mut session, opening, true).await?;
            let renewed = Opening {
                renew: false,
                ..opening
            };
            if !renewed.accepts(incarnation) {
                return Err(Failure::session(
                    "another node has restored an older incarnation",
                ));
            }
        }
        Ok((session, incarnation))
    }

    async fn check(&self, session: &Session) -> Result<(), Failure> {
        for (place, shard) in session.masters.iter().enumerate() {
            let buckets = || {
                session
                    .buckets
                    .iter()
                    .filter(|bucket| bucket.master == place)
            };
            let mut asked = pipe();
            asked.cmd("TIME").cmd("INFO");
            for bucket in buckets() {
                asked
                    .cmd("PEXPIRE")
                    .arg(&bucket.marker)
                    .arg(marker::LIFE)
                    .ignore();
                asked.cmd("GET").arg(&bucket.marker);
            }
            let before = self.bound.now();
            let mut connection = shard.connection.clone();
            let answers: Vec<redis::Value> = asked
                .query_async(&mut connection)
                .await
                .map_err(|error| failure(&error))?;
            let mut answers = answers.into_iter();
            let (seconds, _): (i64, u32) = read(answers.next())?;
            check_time(&self.bound, before, seconds)?;
            let info = Info::parse(&read::<String>(answers.next())?)?;
            info.check(self.wanted)?;
            self.check_evicted(&info)?;
            let same_server = info.replication_id == shard.replication_id;
            let mut same_records = true;
            for bucket in buckets() {
                let text: Option<String> = read(answers.next())?;
                same_records &= text.as_deref() == Some(&bucket.text);
            }
            if !same_server || !same_records {
                return Err(changed());
            }
        }
        Ok(())
    }

    async fn insert(&self, session: &Session, record: Record) -> Result<Freshness, Failure> {
        let gone = || Failure::session("the session has no server for the proof");
        let [first, ..] = record.key;
        let place = usize::from(first) % session.buckets.len().max(1);
        let bucket = session.buckets.get(place).ok_or_else(gone)?;
        let shard = session.masters.get(bucket.master).ok_or_else(gone)?;
        let mut key = bucket.prefix.clone().into_bytes();
        key.extend_from_slice(&record.key);
        let mut script = cmd("EVALSHA");
        script
            .arg(&session.script)
            .arg(2)
            .arg(key)
            .arg(&bucket.marker)
            .arg(&bucket.text)
            .arg(u64::try_from(record.keep.as_millis()).unwrap_or(i64::MAX.unsigned_abs()))
            .arg(&shard.line);
        let before = self.bound.now();
        let answer = match self.wanted.replicas {
            0 => script.query_async(&mut shard.connection.clone()).await,
            replicas => self.insert_and_wait(shard, script, replicas).await?,
        };
        let (outcome, seconds): (u8, i64) = answer.map_err(|error: RedisError| failure(&error))?;
        check_time(&self.bound, before, seconds)?;
        match outcome {
            0 => Ok(Freshness::Replayed),
            1 => Ok(Freshness::Fresh),
            _ => Err(changed()),
        }
    }
}

fn changed() -> Failure {
    Failure::session("the server has restarted, was promoted or was emptied")
}

fn read<T: redis::FromRedisValue>(value: Option<redis::Value>) -> Result<T, Failure> {
    let value = value.ok_or_else(|| Failure::session("an answer of the server is missing"))?;
    T::from_redis_value(value).map_err(|error| Failure::session(error.to_string()))
}

type Inserted = Result<(u8, i64), RedisError>;

impl RedisEngine {
    async fn insert_and_wait(
        &self,
        shard: &Shard,
        script: redis::Cmd,
        replicas: u32,
    ) -> Result<Inserted, Failure> {
        let next = shard.next.fetch_add(1, Ordering::Relaxed) % WAITING;
        let connection = shard.waiting.get(next);
        let mut connection = connection.ok_or_else(changed)?.clone();
        // The answer has to come before the call times out.
        let patience = self.time_out.as_millis() / 2;
        let mut both = pipe();
        both.add_command(script);
        both.cmd("WAIT")
            .arg(replicas)
            .arg(u64::try_from(patience).unwrap_or(1).max(1));
        let answer: Result<((u8, i64), u32), _> = both.query_async(&mut connection).await;
        Ok(match answer {
            Ok((inserted, acknowledged)) if acknowledged >= replicas => Ok(inserted),
            Ok((_, acknowledged)) => {
                return Err(Failure::call(format!(
                    "{acknowledged} replicas have acknowledged a proof, and {replicas} have to"
                )));
            }
            Err(error) => Err(error),
        })
    }

    /// Checks a master, and returns the digest of the script there.
    async fn shard(
        &self,
        host: &Host,
        mut connection: MultiplexedConnection,
    ) -> Result<(Shard, String), Failure> {
        let before = self.bound.now();
        let mut asked = pipe();
        asked.cmd("TIME").cmd("INFO");
        asked.cmd("SCRIPT").arg("LOAD").arg(SCRIPT);
        let ((seconds, _), info, script): ((i64, u32), String, String) = asked
            .query_async(&mut connection)
            .await
            .map_err(|error| open_failure(&error))?;
        check_time(&self.bound, before, seconds)?;
        let info = Info::parse(&info)?;
        info.check(self.wanted)?;
        self.check_evicted(&info)?;
        let mut waiting = Vec::new();
        if self.wanted.replicas > 0 {
            for _ in 0..WAITING {
                waiting.push(self.connector.connect(host).await?);
            }
        }
        let shard = Shard {
            connection,
            waiting,
            next: AtomicUsize::new(0),
            line: format!("master_replid:{}\r\n", info.replication_id),
            replication_id: info.replication_id,
        };
        Ok((shard, script))
    }

    fn check_evicted(&self, info: &Info) -> Result<(), Failure> {
        let mut evicted = self.evicted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = evicted.insert(info.replication_id.clone(), info.evicted);
        // Identifiers of servers that are gone do not return.
        while evicted.len() > 1_000 {
            evicted.pop_first();
        }
        info.check_evicted(before.unwrap_or(info.evicted), self.wanted.allow_eviction)
    }

    /// Sets the markers that are missing, or all of them, and returns the incarnation that they name then.
    async fn mark(
        &self,
        session: &mut Session,
        opening: Opening,
        all: bool,
    ) -> Result<Incarnation, Failure> {
        let mut incarnations = Vec::with_capacity(session.buckets.len());
        for (place, shard) in session.masters.iter().enumerate() {
            let mut asked = pipe();
            let mut buckets: Vec<_> = session
                .buckets
                .iter_mut()
                .filter(|bucket| bucket.master == place)
                .collect();
            for bucket in &buckets {
                let new = opening.begin(self.bound.now(), &self.bound)?;
                let set = asked.cmd("SET").arg(&bucket.marker).arg(marker::text(new));
                if !all {
                    set.arg("NX");
                }
                set.arg("PX").arg(marker::LIFE).ignore();
                asked.cmd("GET").arg(&bucket.marker);
            }
            let mut connection = shard.connection.clone();
            let texts: Vec<Option<String>> = asked
                .query_async(&mut connection)
                .await
                .map_err(|error| open_failure(&error))?;
            for (bucket, text) in buckets.iter_mut().zip(texts) {
                bucket.text = text.unwrap_or_default();
                let found = marker::parse(&bucket.text);
                incarnations.push(found.ok_or_else(|| {
                    Failure::session("a marker of the incarnation is not readable")
                })?);
            }
        }
        marker::combine(incarnations).ok_or_else(|| Failure::session("the cluster has no slots"))
    }
}

/// Judges an error while a session is opened. No session can be opened then, whatever it is.
fn open_failure(error: &RedisError) -> Failure {
    let what = match error.code() {
        Some("NOPERM") => "the user of the URL lacks a right that the replay store needs: ",
        _ => "",
    };
    Failure::session(format!("{what}{}", failure(error)))
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.location.kind {
            Kind::Single => "single",
            Kind::Cluster => "cluster",
            Kind::Sentinel(_) => "sentinel",
        };
        f.debug_struct("RedisEngine")
            .field("kind", &kind)
            .field("connector", &self.connector)
            .field("prefix", &self.prefix)
            .field("clock", &self.bound)
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}
