//! `RedisReplayStore`, whose server is killed, stopped and emptied.

use std::time::Duration;

use dpop_test_servers::redis::Redis;
use dpop_tower::{
    replay::{AcceptanceWindows, RedisReplayStore},
    test_util::replay::{FixtureError, Rule, StoreFixture},
};
use tokio::sync::Mutex;

use super::unchecked;

/// How far the clocks of nodes and server may differ.
const MARGIN: Duration = Duration::from_secs(4);
/// No store of the test is full, which other tests check, and nothing is counted for a key or a subject.
const UNCHECKED: [Rule; 3] = [Rule::LiveEntriesStay, Rule::Bounded, Rule::Bounded];
const KILLED: &str = "killed and started again, empty";
const STOPPED: &str = "stopped for a while";

struct InRedis {
    server: Mutex<Redis>,
    url: String,
}

impl InRedis {
    async fn start() -> Self {
        let server = Redis::start().await;
        Self {
            url: server.url(),
            server: Mutex::new(server),
        }
    }
}

impl StoreFixture for InRedis {
    type Store = RedisReplayStore;

    async fn open(&self) -> Result<RedisReplayStore, FixtureError> {
        Ok(RedisReplayStore::builder(&self.url)?
            .time_out(Duration::from_secs(2))
            .clock_margin(MARGIN)
            .windows(AcceptanceWindows::at_least(Duration::from_secs(70))?)
            .build()?)
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
            _ => server.pause(),
        }
        Ok(())
    }

    async fn end(&self, fault: &'static str) -> Result<(), FixtureError> {
        let mut server = self.server.lock().await;
        match fault {
            KILLED => server.restart().await,
            _ => server.resume(),
        }
        Ok(())
    }

    async fn lose_records(&self) -> Result<bool, FixtureError> {
        self.server.lock().await.tell(&["FLUSHALL"]);
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract() {
    assert_eq!(unchecked(InRedis::start().await).await.unwrap(), UNCHECKED);
}
