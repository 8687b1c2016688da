//! Used DPoP proofs in DynamoDB: a [`ReplayStore`] for services that have nothing to operate.
//!
//! Each proof is one item, put on the condition that there is none, or that the one there has expired: one request.
//! DynamoDB decides on the leader of the item's partition, so of all nodes exactly one succeeds. Time to live only
//! cleans up, up to days later, so every put compares the expiry itself.
//!
//! The table also holds a marker with the incarnation of the records. A table that was deleted and created again, or
//! restored under the same name, has no marker or another one. After a put, a node reads the marker again if it was
//! last read more than [`MARKER_AGE`] ago. Deleting and creating a table takes longer than that, so no node records a proof
//! in a new table without noticing.
//!
//! # Settings of the table
//!
//! - One region. The replicas of a global table accept the same proof once each, unless the table has multi-region
//!   strong consistency.
//! - Time to live on the attribute `exp`, so that expired items go away.
//! - Restore a backup only under another name. A restored table has the marker, and lacks the latest records.
//! - The nodes need `dynamodb:PutItem` and `dynamodb:GetItem`, and nobody else should have them.
//!
//! Nothing limits the number of items, and there is no limit per client key or subject. Set a maximum throughput, or
//! limit the rate of requests.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::timeout::TimeoutConfig,
    error::DisplayErrorContext,
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
        ScalarAttributeType, TableStatus,
    },
};
use dpop_tower::{
    clock::{SystemClock, TimeSource as _, UnixTime},
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, Incarnation, ReplayStore, StoreError, UsedProof},
};
use tokio::time::{Instant, sleep};

/// How far the clocks of nodes may differ.
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(5);
/// For how long the marker counts after it was read.
pub const MARKER_AGE: Duration = Duration::from_millis(500);

/// After this time without an answer of DynamoDB, a request is rejected.
const PATIENCE: Duration = Duration::from_secs(2);

/// The key of the marker, which is shorter than that of any proof.
const MARKER: &[u8] = b"incarnation";

type BoxError = Box<dyn Error + Send + Sync>;
type Item = HashMap<String, AttributeValue>;

/// A replay store in a DynamoDB table.
pub struct DynamoDbReplayStore(Arc<Inner>);

struct Inner {
    client: Client,
    table: String,
    windows: AcceptanceWindows,
    marker: RwLock<Option<Marker>>,
}

/// The incarnation of the table, and when the request began that has read it.
#[derive(Clone, Copy, Debug)]
struct Marker {
    incarnation: Incarnation,
    read_at: Instant,
}

impl DynamoDbReplayStore {
    /// Makes a store that uses the table `table` with the credentials and the region of `client`.
    ///
    /// `windows` come from [`AcceptanceWindows::at_least`], with the longest window of all nodes.
    pub fn new(client: &Client, table: impl Into<String>, windows: AcceptanceWindows) -> Self {
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let config = client
            .config()
            .to_builder()
            .timeout_config(timeouts)
            .build();
        Self(Arc::new(Inner {
            client: Client::from_conf(config),
            table: table.into(),
            windows,
            marker: RwLock::new(None),
        }))
    }

    /// Creates the table, and waits until it is active. Deployments usually do this, and not nodes.
    ///
    /// # Errors
    ///
    /// Returns the error of DynamoDB, also if there is such a table.
    pub async fn create_table(client: &Client, table: &str) -> Result<(), BoxError> {
        client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name("k")
                    .attribute_type(ScalarAttributeType::B)
                    .build()?,
            )
            .key_schema(
                KeySchemaElement::builder()
                    .attribute_name("k")
                    .key_type(KeyType::Hash)
                    .build()?,
            )
            .send()
            .await?;
        loop {
            let described = client.describe_table().table_name(table).send().await?;
            let status = described.table.and_then(|table| table.table_status);
            if status == Some(TableStatus::Active) {
                return Ok(());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Inner {
    fn marker(&self) -> Option<Marker> {
        *self.marker.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, proof: UsedProof) -> Result<Freshness, StoreError> {
        if proof.remember_for().is_none() {
            return Ok(Freshness::Replayed);
        }
        let Some(before) = self.marker() else {
            self.read_marker().await?;
            return Err(StoreError::unavailable("connected just now"));
        };
        // A node whose clock is ahead must not take an item for expired that another node still needs.
        let expires_at = proof.expires_at.saturating_add(CLOCK_DIFFERENCE);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("k", AttributeValue::B(Blob::new(proof.key.proof())))
            .item("exp", number(expires_at))
            .condition_expression("attribute_not_exists(k) OR #exp < :now")
            .expression_attribute_names("#exp", "exp")
            .expression_attribute_values(":now", number(proof.now))
            .send()
            .await;
        if let Err(error) = put {
            let service = error.as_service_error();
            if service.is_some_and(|error| error.is_conditional_check_failed_exception()) {
                return Ok(Freshness::Replayed);
            }
            return Err(unavailable(error));
        }
        let now = match self.marker() {
            Some(marker) if marker.read_at.elapsed() < MARKER_AGE => marker,
            _ => self.read_marker().await?,
        };
        if now.incarnation != before.incarnation {
            return Err(StoreError::unavailable(
                "the table with the records is gone",
            ));
        }
        Ok(Freshness::Fresh)
    }

    /// Reads the marker, or creates it in a new table.
    async fn read_marker(&self) -> Result<Marker, StoreError> {
        let read_at = Instant::now();
        let key = || AttributeValue::B(Blob::new(MARKER));
        let get = || {
            let request = self.client.get_item().table_name(&self.table);
            request.key("k", key()).consistent_read(true).send()
        };
        let mut item = get().await.map_err(unavailable)?.item;
        if item.is_none() {
            // Until then, nodes whose clocks are ahead may have used proofs with the records that are gone.
            let since = SystemClock.now().saturating_add(CLOCK_DIFFERENCE);
            let new = Incarnation::random(since).map_err(StoreError::unavailable)?;
            let put = self
                .client
                .put_item()
                .table_name(&self.table)
                .item("k", key())
                .item("id", AttributeValue::B(Blob::new(new.id())))
                .item("since", number(since))
                .condition_expression("attribute_not_exists(k)")
                .send()
                .await;
            // Another node may have been first.
            if let Err(error) = put {
                let service = error.as_service_error();
                if !service.is_some_and(|error| error.is_conditional_check_failed_exception()) {
                    return Err(unavailable(error));
                }
            }
            item = get().await.map_err(unavailable)?.item;
        }
        let incarnation = item
            .and_then(|item| incarnation(&item))
            .ok_or_else(|| StoreError::unavailable("the table has no marker that makes sense"))?;
        let marker = Marker {
            incarnation,
            read_at,
        };
        let mut latest = self.marker.write().unwrap_or_else(PoisonError::into_inner);
        // The answer of an earlier request may have come later.
        if latest.is_none_or(|latest| latest.read_at < marker.read_at) {
            *latest = Some(marker);
        }
        Ok(marker)
    }
}

fn incarnation(marker: &Item) -> Option<Incarnation> {
    let id = marker.get("id")?.as_b().ok()?.as_ref().try_into().ok()?;
    let since = marker.get("since")?.as_n().ok()?.parse().ok()?;
    Some(Incarnation::new(id, UnixTime::from_secs(since)))
}

fn number(time: UnixTime) -> AttributeValue {
    AttributeValue::N(time.as_secs().to_string())
}

/// The error with its sources, which contain the region and the kind of failure, and no key.
fn unavailable(error: impl Error + Send + Sync + 'static) -> StoreError {
    StoreError::unavailable(DisplayErrorContext(error).to_string())
}

impl ReplayStore for DynamoDbReplayStore {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        let inner = Arc::clone(&self.0);
        MaybeReady::pending(async move { inner.record(proof).await })
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.0.windows
    }

    fn incarnation(&self) -> Option<Incarnation> {
        self.0.marker().map(|marker| marker.incarnation)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        let inner = Arc::clone(&self.0);
        MaybeReady::pending(async move { inner.read_marker().await.map(drop) })
    }
}

impl fmt::Debug for DynamoDbReplayStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbReplayStore")
            .field("table", &self.0.table)
            .field("marker", &self.0.marker())
            .finish_non_exhaustive()
    }
}
