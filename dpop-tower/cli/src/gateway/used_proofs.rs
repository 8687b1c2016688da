//! The store of used proofs, for as long as the gateway runs.

use std::{fmt, sync::Arc, time::Duration};

use dpop_tower::replay::{MemoryReplayStore, PostgresReplayStore, ReplayStore, StoreError};
use tracing::{error, info};

use super::settings::explain;

/// The first pause after a failed attempt to use the store, which doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A store of used proofs. Clones are the same store.
#[derive(Clone)]
pub struct UsedProofs {
    store: Arc<dyn ReplayStore>,
    /// The same store, if its table has to be created.
    with_table: Option<Arc<PostgresReplayStore>>,
}

impl UsedProofs {
    /// Uses this store.
    pub fn new(store: Arc<dyn ReplayStore>) -> Self {
        Self {
            store,
            with_table: None,
        }
    }

    /// Uses this store, and creates its table unless it exists.
    pub fn with_table(store: Arc<PostgresReplayStore>) -> Self {
        Self {
            store: Arc::clone(&store) as Arc<dyn ReplayStore>,
            with_table: Some(store),
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn ReplayStore> {
        Arc::clone(&self.store)
    }

    /// Waits until the store can be used, and logs why it cannot. Requests are rejected meanwhile.
    pub(crate) async fn wait(&self) {
        let mut pause = FIRST_PAUSE;
        let mut logged = None;
        while let Err(why) = self.attempt().await {
            let why = explain(&why);
            // The same reason is said once and not every few seconds.
            if logged.as_ref() != Some(&why) {
                error!(
                    target: "gateway",
                    "the replay store cannot be used, so requests are rejected with 503: {why}"
                );
                logged = Some(why);
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        if logged.is_some() {
            info!(target: "gateway", "the replay store can be used");
        }
    }

    async fn attempt(&self) -> Result<(), StoreError> {
        if let Some(store) = &self.with_table {
            store.create_table().await?;
        }
        self.store.warm_up().await
    }
}

/// A store in memory of the default size.
impl Default for UsedProofs {
    fn default() -> Self {
        Self::new(Arc::new(MemoryReplayStore::new()))
    }
}

impl fmt::Debug for UsedProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
