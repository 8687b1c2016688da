//! A store that counts down in real time, as databases do, with a margin for the clocks of its nodes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dpop_tower::{
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, UsedProof},
    test_util::replay::{FixtureError, Rule, StoreFixture},
};

use super::unchecked;

#[derive(Debug)]
struct Countdown {
    margin: Duration,
    windows: AcceptanceWindows,
    ends: Mutex<HashMap<[u8; 32], Instant>>,
}

impl ReplayStore for Countdown {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        let Some(life) = proof.remember_for() else {
            return MaybeReady::ready(Ok(Freshness::Replayed));
        };
        let Some(end) = Instant::now().checked_add(life.saturating_add(self.margin)) else {
            return MaybeReady::ready(Err(StoreError::unavailable("the time is out of range")));
        };
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.retain(|_, end| Instant::now() < *end);
        MaybeReady::ready(Ok(match ends.contains_key(proof.key.proof()) {
            true => Freshness::Replayed,
            false => {
                ends.insert(*proof.key.proof(), end);
                Freshness::Fresh
            }
        }))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }
}

/// Nodes whose clocks differ by up to two seconds.
struct Fixture(Arc<Countdown>);

impl Fixture {
    fn with_margin(margin: Duration) -> Self {
        Self(Arc::new(Countdown {
            margin,
            windows: AcceptanceWindows::new(),
            ends: Mutex::default(),
        }))
    }
}

impl StoreFixture for Fixture {
    type Store = Arc<Countdown>;

    async fn open(&self) -> Result<Self::Store, FixtureError> {
        Ok(Arc::clone(&self.0))
    }

    fn clock_difference(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn kept_longer_by(&self) -> Option<Duration> {
        // The countdown begins at any time within a second.
        Some(self.0.margin + Duration::from_secs(1))
    }
}

#[tokio::test]
async fn a_margin_as_large_as_clocks_differ_is_enough() {
    let fixture = Fixture::with_margin(Duration::from_secs(2));
    assert_eq!(
        unchecked(fixture).await.unwrap(),
        [
            Rule::LiveEntriesStay,
            Rule::FailClosed,
            Rule::Bounded,
            Rule::Bounded,
            Rule::NoRecordLostUnseen
        ]
    );
}

#[tokio::test]
async fn a_margin_that_is_too_small_is_found() {
    let violation = unchecked(Fixture::with_margin(Duration::ZERO))
        .await
        .unwrap_err();
    assert_eq!(violation.rule(), Rule::ExpiryIsAnInstant, "{violation}");
}
