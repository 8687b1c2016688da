//! A store that loses its records has a new incarnation, and no proof that was used before passes again.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use dpop_tower::{
    ConfigErrorKind, DpopConfig, DpopConfigBuilder, DpopLayer, Policy, Report,
    clock::{TimeSource as _, UnixTime},
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSecret, NonceSource, NonceStatus, StatelessNonces},
    replay::{Incarnation, MemoryReplayStore, ReplayStore},
};
use http::Extensions;

use super::{
    changing::ChangingStore,
    sent::{Sent, challenge, nonce_of, use_nonce},
};
use crate::support::{Api, Verdict, invalid_proof, nonces};

const LEEWAY: u64 = 10;
const FENCED: Verdict = use_nonce("proof_fenced");
const USED: Verdict = invalid_proof("proof_replayed");

/// Returns a store as a process has it that starts now.
fn started(api: &Api) -> Arc<MemoryReplayStore> {
    let store = MemoryReplayStore::new().fenced_since(api.clock.now());
    Arc::new(store.unwrap())
}

fn config(api: &Api, store: &Arc<impl ReplayStore>) -> DpopConfigBuilder {
    (api.config())
        .nonce_source(nonces())
        .replay_store(Arc::clone(store))
}

fn build(config: DpopConfigBuilder) -> DpopConfig {
    config.build().unwrap()
}

fn router(config: DpopConfigBuilder) -> Router {
    crate::support::router(build(config))
}

#[tokio::test]
async fn a_proof_that_was_used_before_a_restart_does_not_pass_after_it() {
    let api = Api::new();
    for offset in [-70, -10, 0, 10] {
        let before = router(config(&api, &started(&api)));
        api.advance(100);
        let used = Sent::new(&api, None, offset);
        assert_eq!(used.to(&api, &before).await, Verdict::Admitted);
        let after = router(config(&api, &started(&api)));
        let mut age = offset;
        while age <= 70 {
            assert_ne!(used.to(&api, &after).await, Verdict::Admitted, "{age}");
            api.advance(1);
            age += 1;
        }
    }
}

#[tokio::test]
async fn a_used_proof_with_a_nonce_does_not_pass_after_a_restart_whether_or_not_nonces_are_required()
 {
    let api = Api::new();
    for (is_required, verdict) in [
        (false, FENCED),
        // The secret survives the restart, and the nonce does not.
        (true, use_nonce("proof_nonce_unknown")),
    ] {
        let config = |store: &Arc<MemoryReplayStore>| match is_required {
            false => config(&api, store),
            true => config(&api, store).require_nonces(),
        };
        let before = router(config(&started(&api)));
        let nonce = challenge(&api, &before).await;
        for offset in [-10, 0, 10] {
            let used = Sent::new(&api, Some(&nonce), offset);
            assert_eq!(used.to(&api, &before).await, Verdict::Admitted);
            let after = router(config(&started(&api)));
            assert_eq!(used.to(&api, &after).await, verdict, "{offset}");
            assert_eq!(used.to(&api, &before).await, USED);
        }
    }
}

#[tokio::test]
async fn a_client_that_answers_the_challenge_recovers_with_one_more_request() {
    let api = Api::new();
    for is_required in [false, true] {
        let config = match is_required {
            false => config(&api, &started(&api)),
            true => config(&api, &started(&api)).require_nonces(),
        };
        let router = router(config);
        let nonce = challenge(&api, &router).await;
        // Its clock may be behind or ahead.
        for offset in [-70, -10, 0, 10] {
            let sent = Sent::new(&api, Some(&nonce), offset);
            assert_eq!(sent.to(&api, &router).await, Verdict::Admitted);
            assert_eq!(sent.to(&api, &router).await, USED);
        }
    }
}

#[tokio::test]
async fn a_client_without_nonces_recovers_when_its_proofs_are_later_than_the_fence() {
    for leeway in [0, 10, 60] {
        let api = Api::new();
        let config = config(&api, &started(&api)).leeway(Duration::from_secs(leeway));
        let router = router(config);
        let ahead = i64::try_from(leeway).unwrap();
        assert_eq!(Sent::new(&api, None, 0).to(&api, &router).await, FENCED);
        assert_eq!(Sent::new(&api, None, ahead).to(&api, &router).await, FENCED);
        api.advance(leeway);
        assert_eq!(Sent::new(&api, None, 0).to(&api, &router).await, FENCED);
        api.advance(1);
        for _ in 0..3 {
            let good = Sent::new(&api, None, 0);
            let response = good.response(&api, &router).await;
            // Nobody needs a nonce any more.
            assert_eq!(nonce_of(&response), None);
            assert_eq!(Verdict::of(response), Verdict::Admitted);
            assert_eq!(good.to(&api, &router).await, USED);
            api.advance(100);
        }
        // A nonce that has become too old does no harm.
        let old = Sent::new(&api, Some("old"), 0);
        assert_eq!(old.to(&api, &router).await, Verdict::Admitted);
    }
}

#[tokio::test]
async fn without_a_fence_nothing_is_rejected_and_nonces_are_the_same_in_every_process() {
    let api = Api::new();
    let store = || Arc::new(MemoryReplayStore::new());
    let plain = router(config(&api, &store()));
    let sent = Sent::new(&api, None, 0);
    assert_eq!(sent.to(&api, &plain).await, Verdict::Admitted);
    let one = router(config(&api, &store()).require_nonces());
    let other = router(config(&api, &store()).require_nonces());
    let nonce = challenge(&api, &one).await;
    let sent = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(sent.to(&api, &other).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_store_that_loses_its_records_while_a_request_is_checked_admits_nothing() {
    let api = Api::new();
    let store = Arc::new(ChangingStore::new(Incarnation::new(
        [1; 16],
        UnixTime::from_secs(0),
    )));
    let optional = router(config(&api, &store));
    let required = router(config(&api, &store).require_nonces());
    let nonce = challenge(&api, &required).await;
    for (router, nonce) in [(&optional, None), (&required, Some(&nonce))] {
        let sent = || Sent::new(&api, nonce.map(String::as_str), 0);
        assert_eq!(sent().to(&api, router).await, Verdict::Admitted);
    }
    let next = |id| Incarnation::new([id; 16], api.clock.now());
    store.change_during_the_next_call(next(2));
    let sent = Sent::new(&api, Some(&nonce), 0);
    let response = sent.response(&api, &required).await;
    let new = nonce_of(&response).unwrap();
    assert_eq!(Verdict::of(response), FENCED);
    // The challenge has a nonce of the new incarnation.
    let answer = Sent::new(&api, Some(&new), 0);
    assert_eq!(answer.to(&api, &required).await, Verdict::Admitted);
    let old = Sent::new(&api, Some(&nonce), 0);
    let unknown = use_nonce("proof_nonce_unknown");
    assert_eq!(old.to(&api, &required).await, unknown);
    // A proof that is late enough for either incarnation is still not admitted during the change.
    api.advance(LEEWAY + 1);
    store.change_during_the_next_call(Incarnation::new([3; 16], UnixTime::from_secs(0)));
    let sent = Sent::new(&api, None, 0);
    assert_eq!(sent.to(&api, &optional).await, FENCED);
    assert_eq!(sent.to(&api, &optional).await, USED);
}

#[tokio::test]
async fn a_store_that_does_not_know_its_incarnation_yet_admits_nothing() {
    let api = Api::new();
    let store = Arc::new(ChangingStore::unknown());
    let router = router(config(&api, &store));
    store.change_during_the_next_call(Incarnation::new([1; 16], UnixTime::from_secs(0)));
    let sent = Sent::new(&api, None, 0);
    assert_eq!(sent.to(&api, &router).await, FENCED);
    assert_eq!(
        Sent::new(&api, None, 0).to(&api, &router).await,
        Verdict::Admitted
    );
}

#[tokio::test]
async fn the_fence_reaches_as_far_as_the_longest_leeway_of_the_configurations() {
    let api = Api::new();
    let store = started(&api);
    let with = |leeway| config(&api, &store).leeway(Duration::from_secs(leeway));
    let short = router(with(5));
    let long = build(with(30));
    api.advance(30);
    assert_eq!(Sent::new(&api, None, 0).to(&api, &short).await, FENCED);
    // What was used under it may be as far ahead as before.
    drop(long);
    assert_eq!(Sent::new(&api, None, 0).to(&api, &short).await, FENCED);
    api.advance(1);
    let good = Sent::new(&api, None, 0);
    assert_eq!(good.to(&api, &short).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_configuration_that_replaces_another_has_the_same_incarnation() {
    let api = Api::new();
    let store = started(&api);
    let before = router(config(&api, &store).require_nonces());
    let nonce = challenge(&api, &before).await;
    let used = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(used.to(&api, &before).await, Verdict::Admitted);
    let after = router(config(&api, &store).require_nonces());
    assert_eq!(used.to(&api, &after).await, USED);
    let sent = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(sent.to(&api, &after).await, Verdict::Admitted);
}

#[tokio::test]
async fn proofs_that_may_be_used_again_need_no_fence() {
    let api = Api::new();
    let config = config(&api, &started(&api)).danger_allow_reuse_within_lifetime();
    let router = router(config);
    let sent = Sent::new(&api, None, 0);
    for _ in 0..2 {
        assert_eq!(sent.to(&api, &router).await, Verdict::Admitted);
    }
}

#[tokio::test]
async fn a_policy_that_only_reports_reports_the_fence_and_hands_out_no_nonce() {
    async fn reason(extensions: Extensions) -> String {
        let rejection = extensions.get::<Report>().unwrap().rejection();
        rejection
            .map_or("none", |rejection| rejection.reason())
            .to_owned()
    }
    let api = Api::new();
    let config = config(&api, &started(&api)).policy(Policy::report_only());
    let router = Router::new()
        .route("/orders", get(reason))
        .layer(DpopLayer::new(build(config)));
    for (secs, expected) in [(0, "proof_fenced"), (11, "none")] {
        api.advance(secs);
        let response = Sent::new(&api, None, 0).response(&api, &router).await;
        assert_eq!(nonce_of(&response), None);
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(body.unwrap(), expected);
    }
}

#[tokio::test]
async fn nested_layers_ask_the_fence_once() {
    let api = Api::new();
    let config = build(config(&api, &started(&api)));
    let inner = DpopLayer::new(config.clone())
        .with_policy(Policy::strict().require_nonce().build().unwrap());
    let router = Router::new()
        .route("/orders", get(async || "hello"))
        .layer(inner)
        .layer(DpopLayer::new(config));
    let nonce = challenge(&api, &router).await;
    let sent = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(sent.to(&api, &router).await, Verdict::Admitted);
    api.advance(LEEWAY + 1);
    // The outer layer does not require a nonce, and the inner one does.
    let missing = use_nonce("proof_nonce_missing");
    assert_eq!(Sent::new(&api, None, 0).to(&api, &router).await, missing);
}

#[tokio::test]
async fn a_proof_that_was_used_by_its_nonce_does_not_pass_by_its_iat_after_a_restart() {
    let api = Api::new();
    let config = |store: &Arc<MemoryReplayStore>| config(&api, store).accept_nonce_for_iat();
    let before = router(config(&started(&api)));
    let nonce = challenge(&api, &before).await;
    let used = Sent::new(&api, Some(&nonce), 100);
    assert_eq!(used.to(&api, &before).await, Verdict::Admitted);
    let after = router(config(&started(&api)));
    let nonce = challenge(&api, &after).await;
    for _ in 0..20 {
        assert_ne!(used.to(&api, &after).await, Verdict::Admitted);
        let good = Sent::new(&api, Some(&nonce), 3_600);
        assert_eq!(good.to(&api, &after).await, Verdict::Admitted);
        api.advance(10);
        if api.now().rem_euclid(120) == 0 {
            break;
        }
    }
    api.advance(100);
    assert_ne!(used.to(&api, &after).await, Verdict::Admitted);
}

/// Nonces that stay good when the store loses its records.
#[derive(Debug)]
struct Lasting(StatelessNonces);

impl NonceSource for Lasting {
    fn current(&self, context: &NonceContext<'_>) -> String {
        self.0.current(&context.incarnation(None))
    }

    fn check(&self, nonce: &str, context: &NonceContext<'_>) -> NonceStatus {
        self.0.check(nonce, &context.incarnation(None))
    }

    fn life(&self, nonce: &str) -> Option<dpop_tower::nonce::NonceLife> {
        self.0.life(nonce)
    }

    fn longest_life(&self) -> Option<Duration> {
        self.0.longest_life()
    }
}

#[tokio::test]
async fn a_nonce_that_outlives_the_records_does_not_help_a_used_proof() {
    let api = Api::new();
    let with = |store: &Arc<MemoryReplayStore>| config(&api, store).nonce_source(Lasting(nonces()));
    let before = router(with(&started(&api)).require_nonces());
    let nonce = nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    api.advance(LEEWAY + 1);
    let used = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(used.to(&api, &before).await, Verdict::Admitted);
    let store = started(&api);
    let after = router(with(&store).require_nonces());
    assert_eq!(used.to(&api, &after).await, FENCED);
    // Such nonces cannot stand in for `iat` either, since a proof could be from before and look later.
    let error = with(&store).accept_nonce_for_iat().build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Nonces);
    assert!(error.to_string().contains("covers_incarnation"), "{error}");
    let plain = Arc::new(MemoryReplayStore::new());
    assert!(with(&plain).accept_nonce_for_iat().build().is_ok());
}

#[test]
fn a_nonce_is_good_for_one_incarnation() {
    let source = StatelessNonces::new(NonceSecret::new([5; 32]).unwrap());
    let now = UnixTime::from_secs(1_800_000_000);
    let context = |incarnation| NonceContext::new(now, &AwsLcRs).incarnation(incarnation);
    let of = |id, since| context(Some(Incarnation::new([id; 16], UnixTime::from_secs(since))));
    let all = [context(None), of(0, 5), of(1, 5)];
    for (i, made) in all.iter().enumerate() {
        let nonce = source.current(made);
        for (j, checked) in all.iter().enumerate() {
            let is_good = source.check(&nonce, checked) == NonceStatus::Current;
            assert_eq!(is_good, i == j, "{i} {j}");
        }
    }
    // Processes that share a store may have learnt of the change at different times.
    let nonce = source.current(&of(1, 5));
    assert_eq!(source.check(&nonce, &of(1, 9)), NonceStatus::Current);
}

#[tokio::test]
async fn a_proof_that_was_used_by_its_nonce_does_not_pass_by_its_iat_under_another_configuration() {
    const AHEAD: u64 = 3_600;
    let api = Api::new();
    let store = Arc::new(MemoryReplayStore::new());
    let by_nonce = router(config(&api, &store).accept_nonce_for_iat().require_nonces());
    let by_iat = router(config(&api, &store));
    let nonce = challenge(&api, &by_nonce).await;
    let used = Sent::new(&api, Some(&nonce), i64::try_from(AHEAD).unwrap());
    assert_eq!(used.to(&api, &by_nonce).await, Verdict::Admitted);
    // The record has expired, and the `iat` is good.
    api.advance(AHEAD);
    let unknown = use_nonce("proof_nonce_unknown");
    assert_eq!(used.to(&api, &by_iat).await, unknown);
    // Proofs without a nonce pass, and with a present one under both.
    let nonce = nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    for (router, nonce) in [
        (&by_iat, None),
        (&by_iat, Some(nonce.as_str())),
        (&by_nonce, Some(nonce.as_str())),
    ] {
        let good = Sent::new(&api, nonce, 0);
        assert_eq!(good.to(&api, router).await, Verdict::Admitted);
    }
    // A configuration of a store that never met such a one accepts proofs with any nonce.
    let alone = router(config(&api, &Arc::new(MemoryReplayStore::new())));
    let other = Sent::new(&api, Some("of-another-server"), 0);
    assert_eq!(other.to(&api, &alone).await, Verdict::Admitted);
}
