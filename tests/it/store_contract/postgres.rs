//! `PostgresReplayStore`, whose server is killed, stopped and emptied.

use std::time::Duration;

use dpop_test_servers::postgres::{Frozen, Postgres};
use dpop_tower::{
    replay::{AcceptanceWindows, PostgresReplayStore},
    test_util::replay::{FixtureError, Rule, StoreFixture},
};
use tokio::sync::Mutex;

use super::unchecked;

/// How far the clocks of nodes and server may differ.
const MARGIN: Duration = Duration::from_secs(4);
/// No store of the test is full, which other tests check, and nothing is counted for a key or a subject.
const UNCHECKED: [Rule; 3] = [Rule::LiveEntriesStay, Rule::Bounded, Rule::Bounded];
const KILLED: &str = "killed and started again";
const STOPPED: &str = "stopped for a while";

struct InPostgres {
    server: Mutex<Postgres>,
    frozen: Mutex<Option<Frozen>>,
    url: String,
    is_unlogged: bool,
}

impl InPostgres {
    fn start(is_unlogged: bool) -> Self {
        let server = Postgres::start();
        Self {
            url: server.url(),
            server: Mutex::new(server),
            frozen: Mutex::new(None),
            is_unlogged,
        }
    }
}

impl StoreFixture for InPostgres {
    type Store = PostgresReplayStore;

    async fn open(&self) -> Result<PostgresReplayStore, FixtureError> {
        let store = PostgresReplayStore::builder(&self.url)?
            .time_out(Duration::from_secs(2))
            .clock_margin(MARGIN)
            .windows(AcceptanceWindows::at_least(Duration::from_secs(70))?)
            .build()?;
        match self.is_unlogged {
            true => store.create_unlogged_table().await?,
            false => store.create_table().await?,
        }
        Ok(store)
    }

    fn clock_difference(&self) -> Duration {
        MARGIN - Duration::from_secs(2)
    }

    fn kept_longer_by(&self) -> Option<Duration> {
        Some(2 * MARGIN + Duration::from_secs(1))
    }

    fn faults(&self) -> Vec<&'static str> {
        vec![KILLED, STOPPED]
    }

    async fn begin(&self, fault: &'static str) -> Result<(), FixtureError> {
        let mut server = self.server.lock().await;
        match fault {
            KILLED => server.kill(),
            _ => *self.frozen.lock().await = Some(server.freeze()),
        }
        Ok(())
    }

    async fn end(&self, fault: &'static str) -> Result<(), FixtureError> {
        let mut server = self.server.lock().await;
        match fault {
            KILLED => tokio::task::block_in_place(|| server.restart()),
            _ => *self.frozen.lock().await = None,
        }
        Ok(())
    }

    async fn lose_records(&self) -> Result<bool, FixtureError> {
        let server = self.server.lock().await;
        tokio::task::block_in_place(|| server.sql("TRUNCATE dpop_proofs"));
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postgres_store_keeps_the_contract() {
    assert_eq!(
        unchecked(InPostgres::start(false)).await.unwrap(),
        UNCHECKED
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_postgres_store_keeps_the_contract_with_a_table_that_a_crash_empties() {
    assert_eq!(unchecked(InPostgres::start(true)).await.unwrap(), UNCHECKED);
}
