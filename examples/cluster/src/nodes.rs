//! The nodes: the same API three times, each with its own configuration and its own connection to the store.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use demo_support::explain;
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, PublicOrigin,
    clock::{SystemClock, TimeSource as _},
    nonce::{NonceSecret, StatelessNonces},
    replay::{MemoryReplayStore, ReplayStore, ReplayStoreBuilder},
    test_util::TestIssuer,
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::Result;

/// Short, so that a client without nonces recovers quickly from the restart of a node.
const LEEWAY: Duration = Duration::from_secs(1);

/// What all nodes have in common.
pub(crate) struct Common {
    pub(crate) origin: String,
    pub(crate) issuer: TestIssuer,
    pub(crate) secret: NonceSecret,
    /// The URL of the store, or `None` for a store in the memory of each node.
    pub(crate) store: Option<String>,
    /// The number of replicas that have to have a record before a request is admitted.
    pub(crate) replicas: u32,
}

/// A node. It ends with the value.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(common: &Common, listener: TcpListener) -> Result<Self> {
        let address = listener.local_addr()?;
        let store = store(common).await?;
        let config =
            DpopConfig::builder(PublicOrigin::new(&common.origin)?, common.issuer.tokens())
                .leeway(LEEWAY)
                .nonce_source(StatelessNonces::new(common.secret.clone()))
                .replay_store(store)
                .build()?;
        config.warm_up().await?;
        let router = Router::new()
            .route("/resource", get(async |_token: BoundToken| "admitted"))
            .layer(DpopLayer::new(config));
        let serving = tokio::spawn(async {
            // It serves until the task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, serving })
    }

    /// Ends the node and starts it again at the same address, as a process would be restarted.
    pub(crate) async fn restart(&mut self, common: &Common) -> Result<()> {
        self.serving.abort();
        let _ = (&mut self.serving).await;
        *self = Self::start(common, TcpListener::bind(self.address).await?).await?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn store(common: &Common) -> Result<Arc<dyn ReplayStore>> {
    let Some(url) = &common.store else {
        // Rejects what an earlier process may have admitted.
        return Ok(Arc::new(
            MemoryReplayStore::new().fenced_since(SystemClock.now())?,
        ));
    };
    Ok(match ReplayStoreBuilder::from_url(url)? {
        ReplayStoreBuilder::Redis(redis) if common.replicas > 0 => {
            Arc::new(redis.wait_for_replicas(common.replicas).build()?)
        }
        ReplayStoreBuilder::Postgres(postgres) => {
            let store = postgres.build()?;
            (store.create_table().await).map_err(|error| explain(&error))?;
            Arc::new(store)
        }
        other => other.build()?,
    })
}
