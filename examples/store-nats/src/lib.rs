//! Used DPoP proofs in NATS JetStream: a [`ReplayStore`] for nodes that already share a NATS cluster.
//!
//! Each proof is one message on a subject of its own, published on the condition that the subject has none: one round
//! trip, and atomic on every node, as the leader of the stream decides. It is what `create` of a key-value bucket does.
//! The store uses a stream and not a bucket because it chooses the name of the stream: the name contains the
//! incarnation of the records, and each message names the stream that it is meant for. A message that finds another
//! one was sent by a node that has not noticed a loss, and the server rejects it.
//!
//! # Settings of the server
//!
//! - **Storage.** With [`StorageType::File`], records survive a restart of the server. After a power failure, records
//!   of the last two minutes may be missing and nobody notices: set `sync_interval: always` (2.10), or use replicas in
//!   several places. With [`StorageType::Memory`] on one server, a restart loses them, and the fence rejects what was
//!   used before.
//! - **Replicas.** In a cluster use three or five, with file storage. A quorum has each record before it is
//!   acknowledged, so no fail-over loses one. A memory stream without a replica keeps its name when its server is
//!   started again, and nobody notices that its records are gone: do not use one in a cluster.
//! - **Limits.** The stream rejects new messages when it is full ([`DiscardPolicy::New`]). Its limit is a number of
//!   messages: with a limit of bytes, nats-server 2.9 removes the oldest message when the last one that fits is a few
//!   bytes too large.
//! - **Permissions.** Nobody but the nodes may publish to the subjects, delete messages or purge the stream.
//!
//! There is no limit per client key or subject: one client can fill the stream.

use std::{
    error::Error,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use async_nats::jetstream::{
    self, Context, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamByNameErrorKind, PublishErrorKind},
    message::PublishMessage,
    stream::{self, DiscardPolicy, StorageType},
};
use dpop_tower::{
    clock::UnixTime,
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, Incarnation, ReplayStore, StoreError, UsedProof},
};

/// How far the clocks of nodes and servers may differ.
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);

/// After this time without an answer of the server, a request is rejected.
const PATIENCE: Duration = Duration::from_secs(2);

/// The stream that holds the records. All nodes have the same settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The beginning of the subjects and of the stream's name: letters, digits and `-`.
    pub name: String,
    /// How long the server keeps a record.
    ///
    /// It is at least the maximum age of proofs, the leeway and five seconds, and [`CLOCK_DIFFERENCE`] more. With a
    /// shorter time, requests are rejected.
    pub max_age: Duration,
    /// How many records the stream holds. Each takes about 250 bytes.
    pub max_records: i64,
    pub storage: StorageType,
    pub replicas: usize,
}

impl Default for Settings {
    /// One replica in files with up to a million records, for proofs that are accepted for up to 100 seconds.
    fn default() -> Self {
        Self {
            name: "dpop-replay".to_owned(),
            max_age: Duration::from_secs(110),
            max_records: 1_000_000,
            storage: StorageType::File,
            replicas: 1,
        }
    }
}

/// A replay store in a JetStream stream.
///
/// Give the client of `context` a reconnect delay of at most a second, and no limit of reconnects.
pub struct NatsReplayStore(Arc<Inner>);

struct Inner {
    context: Context,
    settings: Settings,
    windows: AcceptanceWindows,
    /// The stream that this node writes to.
    records: RwLock<Option<Records>>,
    /// Held by the one call that looks for the stream.
    finding: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Records {
    stream: String,
    incarnation: Incarnation,
}

impl NatsReplayStore {
    /// Makes a store that connects with the first call, or with [`ReplayStore::warm_up`].
    ///
    /// `windows` come from [`AcceptanceWindows::at_least`], with the longest window of all nodes.
    pub fn new(mut context: Context, settings: Settings, windows: AcceptanceWindows) -> Self {
        context.set_timeout(PATIENCE);
        Self(Arc::new(Inner {
            context,
            settings,
            windows,
            records: RwLock::new(None),
            finding: tokio::sync::Mutex::new(()),
        }))
    }
}

impl Inner {
    fn records(&self) -> Option<Records> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.clone()
    }

    async fn record(&self, proof: UsedProof) -> Result<Freshness, StoreError> {
        let Some(life) = proof.remember_for() else {
            return Ok(Freshness::Replayed);
        };
        // The server counts from the arrival, whatever the proof says, so the time must do for every proof.
        if life.saturating_add(CLOCK_DIFFERENCE) > self.settings.max_age {
            return Err(StoreError::unavailable(
                "proofs live longer than `max_age` of the stream",
            ));
        }
        let Some(records) = self.records() else {
            self.find(None).await?;
            return Err(StoreError::unavailable("connected just now"));
        };
        let subject = format!("{}.{}", self.settings.name, hex(proof.key.proof()));
        let message = PublishMessage::build()
            .expected_last_subject_sequence(0)
            .expected_stream(&records.stream);
        let acknowledged = match self.context.send_publish(subject, message).await {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        let error = match acknowledged {
            Ok(acknowledged) if acknowledged.stream == records.stream => {
                return Ok(Freshness::Fresh);
            }
            Ok(_) => return Err(StoreError::unavailable("another stream has the record")),
            Err(error) => error,
        };
        match (error.kind(), rejection(&error)) {
            (PublishErrorKind::WrongLastSequence, _) => Ok(Freshness::Replayed),
            (PublishErrorKind::StreamNotFound, _) | (_, Some((ErrorCode::STREAM_NOT_MATCH, _))) => {
                // The layer reads the incarnation after this call, so the new one is in place before it ends.
                self.find(Some(&records)).await?;
                Err(StoreError::unavailable(
                    "the stream with the records is gone",
                ))
            }
            (_, Some((ErrorCode::STREAM_STORE_FAILED, reason)))
                if reason.starts_with("maximum ") =>
            {
                Err(StoreError::full())
            }
            _ => Err(StoreError::unavailable(error)),
        }
    }

    /// Looks for the stream, or creates it, unless another call has replaced `old` meanwhile.
    async fn find(&self, old: Option<&Records>) -> Result<(), StoreError> {
        let _one_at_a_time = self.finding.lock().await;
        if self.records().as_ref() != old {
            return Ok(());
        }
        let found = self
            .find_or_create()
            .await
            .map_err(StoreError::unavailable)?;
        *self.records.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(())
    }

    async fn find_or_create(&self) -> Result<Records, Box<dyn Error + Send + Sync>> {
        let subjects = format!("{}.*", self.settings.name);
        let name = match self.context.stream_by_subject(&subjects).await {
            Ok(name) => name,
            Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {
                let new = Incarnation::random(UnixTime::from_secs(0))?;
                let name = format!("{}-{}", self.settings.name, hex(new.id()));
                let created = self
                    .context
                    .create_stream(self.config(&name, &subjects))
                    .await;
                match created {
                    Ok(_) => name,
                    // Two streams cannot have one subject, so all nodes find the one that was first.
                    Err(error) if overlaps(&error.kind()) => {
                        self.context.stream_by_subject(&subjects).await?
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let stream = self.context.get_stream(&name).await?;
        let info = stream.cached_info();
        let config = &info.config;
        let is_limited_otherwise = config.max_bytes > 0 || config.discard != DiscardPolicy::New;
        if is_limited_otherwise || config.max_age < self.settings.max_age {
            return Err(format!("the stream {name} removes live records: delete it").into());
        }
        let id = name
            .strip_prefix(&self.settings.name)
            .and_then(|id| unhex(id.strip_prefix('-')?))
            .ok_or_else(|| format!("the stream {name} has been created by something else"))?;
        // Until then, a node whose clock is ahead may have used proofs under an earlier incarnation.
        let since =
            UnixTime::from_secs(info.created.unix_timestamp() + 1).saturating_add(CLOCK_DIFFERENCE);
        Ok(Records {
            stream: name,
            incarnation: Incarnation::new(id, since),
        })
    }

    fn config(&self, name: &str, subjects: &str) -> stream::Config {
        stream::Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            max_age: self.settings.max_age,
            max_messages: self.settings.max_records,
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            storage: self.settings.storage,
            num_replicas: self.settings.replicas,
            deny_delete: true,
            deny_purge: true,
            ..stream::Config::default()
        }
    }
}

impl ReplayStore for NatsReplayStore {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        let inner = Arc::clone(&self.0);
        MaybeReady::pending(async move { inner.record(proof).await })
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.0.windows
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.0.records().map(|records| records.incarnation)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn longest_life(&self) -> Option<Duration> {
        Some(self.0.settings.max_age.saturating_sub(CLOCK_DIFFERENCE))
    }

    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        let inner = Arc::clone(&self.0);
        MaybeReady::pending(async move { inner.find(None).await })
    }
}

impl fmt::Debug for NatsReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsReplayStore")
            .field("settings", &self.0.settings)
            .field("records", &self.0.records())
            .finish_non_exhaustive()
    }
}

/// Returns what the server says if it rejects a message.
fn rejection(error: &dyn Error) -> Option<(ErrorCode, String)> {
    let error = error.source()?.downcast_ref::<jetstream::Error>()?;
    Some((error.error_code(), error.to_string()))
}

fn overlaps(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_SUBJECT_OVERLAP)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}
