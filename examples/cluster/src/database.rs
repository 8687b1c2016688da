//! The store of used proofs, and how it fails.

use dpop_test_servers::{
    postgres::Postgres,
    redis::{Cluster, Redis, until},
};
use tokio::task::block_in_place;

use crate::Store;

/// Ends with the value.
pub(crate) enum Database {
    Redis(Redis),
    Sentinel(Box<Watched>),
    Cluster(Cluster),
    Postgres(Postgres),
    /// Each node has a store in its memory.
    None,
}

/// A master and a replica, and the sentinel that watches them.
pub(crate) struct Watched {
    sentinel: Redis,
    master: Redis,
    replica: Redis,
}

impl Database {
    pub(crate) async fn start(store: Store) -> Self {
        match store {
            Store::Redis => Self::Redis(Redis::start().await),
            Store::Sentinel => {
                let (master, replica) = (Redis::start().await, Redis::start().await);
                replica.replicate(master.port()).await;
                let sentinel = Redis::sentinel(master.port()).await;
                until("the sentinel knows the replica", || {
                    let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", "main"]);
                    replicas.contains(&replica.port().to_string())
                })
                .await;
                Self::Sentinel(Box::new(Watched {
                    sentinel,
                    master,
                    replica,
                }))
            }
            Store::Cluster => Self::Cluster(Cluster::start().await),
            Store::Postgres => Self::Postgres(block_in_place(Postgres::start)),
            Store::Hash => Self::None,
        }
    }

    /// The URL that each node is given.
    pub(crate) fn url(&self) -> Option<String> {
        Some(match self {
            Self::Redis(redis) => redis.url(),
            Self::Sentinel(watched) => {
                format!(
                    "redis-sentinel://127.0.0.1:{}/main",
                    watched.sentinel.port()
                )
            }
            Self::Cluster(cluster) => cluster.url(),
            Self::Postgres(postgres) => postgres.url(),
            Self::None => return None,
        })
    }

    /// How many replicas have to have a record before a request is admitted.
    pub(crate) const fn replicas(&self) -> u32 {
        match self {
            Self::Sentinel(_) => 1,
            _ => 0,
        }
    }

    pub(crate) const fn what(&self) -> &'static str {
        match self {
            Self::Redis(_) => "one Redis for all of them.",
            Self::Sentinel(_) => {
                "a master and a replica of Redis for all of them, with a Sentinel. A request is admitted when the \
                 replica has its record."
            }
            Self::Cluster(_) => {
                "a Redis Cluster for all of them: three masters with a replica each."
            }
            Self::Postgres(_) => "one PostgreSQL for all of them.",
            Self::None => {
                "a store in the memory of each. nginx sends equal proofs to one node, and only nginx can be reached."
            }
        }
    }

    /// Says how it is going to fail.
    pub(crate) const fn will_happen(&self) -> &'static str {
        match self {
            Self::Redis(_) => "Redis is killed, started again, and knows nothing.",
            Self::Sentinel(_) => "The master is killed, and the Sentinel promotes the replica.",
            Self::Cluster(_) => "A master of the cluster is killed, and its replica takes over.",
            Self::Postgres(_) => "PostgreSQL is killed, and started again.",
            Self::None => "A node is restarted, and knows nothing.",
        }
    }

    /// Lets it fail and come back.
    pub(crate) async fn fail_and_recover(&mut self) {
        match self {
            Self::Redis(redis) => {
                redis.kill();
                redis.restart().await;
            }
            Self::Sentinel(watched) => {
                let Watched {
                    sentinel,
                    master,
                    replica,
                } = &mut **watched;
                master.kill();
                until("the replica is promoted", || {
                    let promoted = sentinel.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
                    promoted.ends_with(&replica.port().to_string())
                })
                .await;
                // It becomes the replica of the new master.
                master.restart().await;
            }
            Self::Cluster(cluster) => {
                if let Some((first, others)) = cluster.servers.split_first_mut() {
                    first.kill();
                    until("a replica has taken over", || {
                        let masters = others
                            .iter()
                            .filter(|server| server.info("role") == "master");
                        masters.count() == 3
                    })
                    .await;
                    first.restart().await;
                }
            }
            Self::Postgres(postgres) => block_in_place(|| {
                postgres.kill();
                postgres.restart();
            }),
            // The story restarts a node.
            Self::None => {}
        }
    }
}
