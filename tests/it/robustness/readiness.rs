//! A replay store over the network may be out of reach, and a program learns that before a request does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use dpop_tower::{
    DpopConfig, Issuer, PublicOrigin,
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, StoreErrorKind, UsedProof},
    token::Readiness,
};

use crate::support::{Api, ORIGIN};

/// A store that can be out of reach.
#[derive(Debug, Default)]
struct Remote {
    is_up: AtomicBool,
    windows: AcceptanceWindows,
}

impl Remote {
    fn usable(&self) -> Result<(), StoreError> {
        match self.is_up.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(StoreError::unavailable("connection reset")),
        }
    }
}

impl ReplayStore for Remote {
    fn check_and_insert(&self, _: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::ready(self.usable().map(|()| Freshness::Fresh))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }

    fn warm_up(&self) -> MaybeReady<Result<(), StoreError>> {
        MaybeReady::ready(self.usable())
    }

    fn readiness(&self) -> Result<(), StoreError> {
        self.usable()
    }

    fn description(&self) -> Option<String> {
        Some("Remote at db.test:7".to_owned())
    }
}

fn config(api: &Api, store: &Arc<Remote>) -> DpopConfig {
    let config = api.config().replay_store(Arc::clone(store));
    config.build().unwrap()
}

#[tokio::test]
async fn a_configuration_is_ready_once_its_replay_store_is() {
    let api = Api::new();
    let store = Arc::new(Remote::default());
    let config = config(&api, &store);
    let readiness = config.readiness();
    assert!(!readiness.is_ready());
    assert_eq!(
        readiness.replay_store(),
        Err(StoreErrorKind::Unavailable),
        "{readiness}"
    );
    assert!(
        readiness
            .to_string()
            .ends_with("replay store is unavailable")
    );
    let error = config.warm_up().await.unwrap_err();
    assert_eq!(error.failures().count(), 0, "{error}");
    assert_eq!(error.replay_store(), Some("connection reset"));
    assert_eq!(
        error.to_string(),
        "the replay store cannot be used: connection reset"
    );

    store.is_up.store(true, Ordering::SeqCst);
    config.warm_up().await.unwrap();
    assert!(config.readiness().is_ready());
    assert_eq!(config.readiness().replay_store(), Ok(()));
}

#[tokio::test]
async fn a_warm_up_tells_of_the_keys_and_of_the_store() {
    let api = Api::new();
    let store = Arc::new(Remote::default());
    // Nothing listens there.
    let issuer = Issuer::new("https://issuer.test")
        .jwks_url("http://127.0.0.1:9/jwks")
        .audience(ORIGIN)
        .danger_allow_plain_http();
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), issuer)
        .clock(api.clock.clone())
        .replay_store(Arc::clone(&store))
        .build()
        .unwrap();
    let error = config.warm_up().await.unwrap_err();
    let issuers: Vec<_> = error.failures().map(|(issuer, _)| issuer).collect();
    assert_eq!(issuers, ["https://issuer.test"]);
    assert_eq!(error.replay_store(), Some("connection reset"));

    store.is_up.store(true, Ordering::SeqCst);
    let error = config.warm_up().await.unwrap_err();
    assert_eq!(error.failures().count(), 1);
    assert_eq!(error.replay_store(), None);
    assert!(!config.readiness().is_ready());
    assert_eq!(config.readiness().replay_store(), Ok(()));
}

#[tokio::test]
async fn a_store_that_is_never_used_is_not_waited_for() {
    let api = Api::new();
    let store = Arc::new(Remote::default());
    let config = api
        .config()
        .replay_store(store)
        .danger_allow_reuse_within_lifetime()
        .build()
        .unwrap();
    config.warm_up().await.unwrap();
    assert!(config.readiness().is_ready());
}

#[test]
fn a_store_that_is_down_in_one_of_two_verifiers_is_down() {
    let down = Readiness::default().with_replay_store(Err(StoreErrorKind::Full));
    for both in [
        down.clone().and(Readiness::default()),
        Readiness::default().and(down),
    ] {
        assert_eq!(both.replay_store(), Err(StoreErrorKind::Full));
        assert!(!both.is_ready());
    }
}

#[test]
fn the_settings_in_force_name_the_store_and_where_it_is() {
    let api = Api::new();
    let store: Arc<dyn ReplayStore> = Arc::new(Remote::default());
    let config = api.config().replay_store(store).build().unwrap();
    let text = config.to_string();
    assert!(
        text.contains("Remote at db.test:7, proofs are remembered for 75 s"),
        "{text}"
    );
}
