//! Nonces of many nodes: regions without a common replay store, secrets that change, and nonces for one key.

use std::{sync::Arc, time::Duration};

use axum::Router;
use dpop_tower::{
    ConfigErrorKind,
    clock::UnixTime,
    crypto::AwsLcRs,
    future::MaybeReady,
    nonce::{NonceContext, NonceSecret, NonceSecrets, NonceSource, NonceStatus, StatelessNonces},
    replay::{AcceptanceWindows, Freshness, MemoryReplayStore, ReplayStore, StoreError, UsedProof},
    test_util::TestClient,
};
use http::Method;
use proptest::prelude::*;

use dpop_conformance::logging::Log;

use super::sent::{Sent, challenge, nonce_of, use_nonce};
use crate::support::{Api, URL, Verdict, nonces, router, send};

const UNKNOWN: Verdict = use_nonce("proof_nonce_unknown");

/// Returns a node of its own region, which has its own replay store and the secret of all.
fn node(api: &Api, nonces: StatelessNonces) -> Router {
    let config = api.config().nonce_source(nonces).require_nonces();
    let store = Arc::new(MemoryReplayStore::new());
    router(config.replay_store(store).build().unwrap())
}

#[tokio::test]
async fn a_copied_proof_passes_in_one_region_only() {
    let api = Api::new();
    let [east, west] = ["eu-east", "eu-west"].map(|name| node(&api, nonces().partition(name)));
    let nonce = challenge(&api, &east).await;
    let copied = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(copied.to(&api, &east).await, Verdict::Admitted);
    assert_eq!(copied.to(&api, &west).await, UNKNOWN);

    // A client that moves to another region gets one challenge.
    let nonce = nonce_of(&copied.response(&api, &west).await).unwrap();
    let moved = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(moved.to(&api, &west).await, Verdict::Admitted);
    assert_eq!(moved.to(&api, &east).await, UNKNOWN);
}

#[tokio::test]
async fn without_a_partition_a_copied_proof_passes_in_every_region() {
    let api = Api::new();
    let [east, west] = [(); 2].map(|()| node(&api, nonces()));
    let nonce = challenge(&api, &east).await;
    let copied = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(copied.to(&api, &east).await, Verdict::Admitted);
    assert_eq!(copied.to(&api, &west).await, Verdict::Admitted);
}

#[tokio::test]
async fn nodes_of_one_region_accept_the_nonces_of_each_other() {
    let api = Api::new();
    let [one, other] = [(); 2].map(|()| node(&api, nonces().partition("eu-east")));
    let nonce = challenge(&api, &one).await;
    let sent = Sent::new(&api, Some(&nonce), 0);
    assert_eq!(sent.to(&api, &other).await, Verdict::Admitted);
}

#[test]
fn a_partition_has_a_name_of_up_to_255_bytes() {
    let api = Api::new();
    let build = |name: &str| {
        let config = api.config().nonce_source(nonces().partition(name));
        config.build()
    };
    for name in [String::new(), "e".repeat(256)] {
        let error = build(&name).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Nonces);
        assert!(error.to_string().contains("partition"), "{error}");
    }
    for name in ["e", &"e".repeat(255), "Zürich"] {
        assert!(build(name).is_ok(), "{name}");
    }
}

#[tokio::test]
async fn a_nonce_that_is_bound_to_a_key_is_good_with_that_key_only() {
    let api = Api::new();
    let node = node(&api, nonces().bind_to_key());
    let nonce = challenge(&api, &node).await;
    assert_eq!(
        Sent::new(&api, Some(&nonce), 0).to(&api, &node).await,
        Verdict::Admitted
    );

    let thief = TestClient::new();
    let token = api.issuer.token().bound_to(&thief).mint();
    let attempt = |nonce: &str| {
        let proof = thief.proof("GET", URL).access_token(&token);
        let proof = proof.claim("iat", api.now()).nonce(nonce).sign();
        thief.request_with_proof(Method::GET, URL, &token, &proof)
    };
    let response = send(node.clone(), attempt(&nonce)).await;
    // The challenge has a nonce for the key of the proof that was sent.
    let own = nonce_of(&response).unwrap();
    assert_eq!(Verdict::of(response), UNKNOWN);
    assert_eq!(
        Verdict::of(send(node, attempt(&own)).await),
        Verdict::Admitted
    );
}

#[tokio::test]
async fn a_bound_nonce_is_renewed_for_the_key_before_it_expires() {
    let api = Api::new();
    let node = node(&api, nonces().bind_to_key());
    let mut nonce = challenge(&api, &node).await;
    let mut renewed = 0;
    for _ in 0..20 {
        api.advance(60);
        let response = Sent::new(&api, Some(&nonce), 0).response(&api, &node).await;
        if let Some(new) = nonce_of(&response) {
            nonce = new;
            renewed += 1;
        }
        assert_eq!(Verdict::of(response), Verdict::Admitted);
    }
    assert!(renewed >= 9, "{renewed}");
}

#[tokio::test]
async fn a_response_has_no_bound_nonce_if_the_request_has_no_key() {
    let api = Api::new();
    let config = (api.config().nonce_source(nonces().bind_to_key()))
        .require_nonces()
        .offer_nonces();
    let router = router(config.build().unwrap());
    let token = api.token().mint();
    for proof in ["", "a.b.c", "e30.e30.AA"] {
        let request = api
            .client
            .request_with_proof(Method::GET, URL, &token, proof);
        let response = send(router.clone(), request).await;
        assert_eq!(nonce_of(&response), None, "{proof:?}");
        assert_ne!(Verdict::of(response), Verdict::Admitted);
    }
    let bare = http::Request::get(URL).body(()).unwrap();
    assert_eq!(nonce_of(&send(router, bare).await), None);
}

fn secret(byte: u8) -> NonceSecret {
    NonceSecret::new([byte; 32]).unwrap()
}

/// Returns the secrets of each step of a change from secret 1 to secret 2.
fn steps() -> [NonceSecrets; 4] {
    [
        NonceSecrets::new(secret(1)),
        NonceSecrets::new(secret(1)).next(secret(2)),
        NonceSecrets::new(secret(2)).previous(secret(1)),
        NonceSecrets::new(secret(2)),
    ]
}

const PERIOD: i64 = 120;

fn at(secs: i64) -> NonceContext<'static> {
    NonceContext::new(UnixTime::from_secs(secs), &AwsLcRs)
}

#[tokio::test]
async fn a_nonce_of_a_retired_secret_is_rejected_while_the_node_runs() {
    let api = Api::new();
    let handle = nonces();
    let node = node(&api, handle.clone());
    let nonce = challenge(&api, &node).await;
    assert_eq!(
        Sent::new(&api, Some(&nonce), 0).to(&api, &node).await,
        Verdict::Admitted
    );
    handle.replace_secrets(secret(9));
    assert_eq!(
        Sent::new(&api, Some(&nonce), 0).to(&api, &node).await,
        UNKNOWN
    );
    let nonce = challenge(&api, &node).await;
    assert_eq!(
        Sent::new(&api, Some(&nonce), 0).to(&api, &node).await,
        Verdict::Admitted
    );
}

#[test]
fn clones_made_before_another_secret_was_accepted_do_not_accept_it() {
    let before = StatelessNonces::new(secret(1));
    let after = before.clone().also_accept(secret(2));
    let nonce = StatelessNonces::new(secret(2)).current(&at(0));
    assert_eq!(before.check(&nonce, &at(0)), NonceStatus::Unknown);
    assert_eq!(after.check(&nonce, &at(0)), NonceStatus::Current);
}

proptest! {
    /// Three nodes whose clocks differ by up to 10 seconds take the steps of a change in any order, no two of them more
    /// than one step apart, and the last step two periods after the one before. A client uses the newest nonce and
    /// calls any node at least once a period.
    #[test]
    fn a_change_of_secrets_costs_a_client_no_challenge(
        calls in proptest::collection::vec((0..3usize, 1..=PERIOD - 20), 200),
        moves in proptest::collection::vec(0..3usize, 200),
        offsets in proptest::array::uniform3(-5..=5i64),
    ) {
        let nodes = [(); 3].map(|()| StatelessNonces::new(secret(1)).period(
            Duration::from_secs(PERIOD.unsigned_abs()),
        ));
        let mut step = [0; 3];
        let mut used_by_all = None;
        let mut now = 1_700_000_000;
        let mut nonce = nodes[0].current(&at(now));
        let mut challenges = 0;
        for ((node, pause), moving) in calls.into_iter().zip(moves) {
            now += pause;
            let behind = step.iter().all(|other| *other >= step[moving]);
            let may_retire = step[moving] != 2
                || used_by_all.is_some_and(|since| now - since > 2 * PERIOD + 10);
            if behind && may_retire && step[moving] < 3 {
                step[moving] += 1;
                nodes[moving].replace_secrets(steps()[step[moving]].clone());
                if used_by_all.is_none() && step.iter().all(|step| *step == 2) {
                    used_by_all = Some(now);
                }
            }
            let context = at(now + offsets[node]);
            match nodes[node].check(&nonce, &context) {
                NonceStatus::Current => {}
                status => {
                    challenges += i32::from(status == NonceStatus::Unknown);
                    nonce = nodes[node].current(&context);
                }
            }
        }
        // Few schedules are too short to show anything.
        prop_assume!(step == [3; 3]);
        prop_assert_eq!(challenges, 0);
    }
}

#[test]
fn strangers_leave_nothing_behind() {
    let api = Api::new();
    let config = (api.config().nonce_source(nonces().bind_to_key()))
        .require_nonces()
        .offer_nonces();
    let router = router(config.build().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let attempt = |number: u32| {
        // Neither the key nor the token is known to anyone.
        let stranger = TestClient::new();
        let proof = stranger.proof("GET", URL).access_token("forged");
        let proof = (proof
            .claim("iat", api.now())
            .nonce(&format!("guessed-{number}")))
        .sign();
        let request = stranger.request_with_proof(Method::GET, URL, "forged", &proof);
        let response = runtime.block_on(send(router.clone(), request));
        assert_eq!(Verdict::of(response), UNKNOWN);
    };
    // The first requests allocate what is kept for all.
    (0..10).for_each(attempt);
    let after = allocation_counter::measure(|| (0..200).for_each(attempt));
    assert_eq!(after.bytes_current, 0, "{after:?}");
}

/// A store that other processes share.
#[derive(Debug)]
struct Shared(MemoryReplayStore);

impl ReplayStore for Shared {
    fn check_and_insert(&self, proof: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        self.0.check_and_insert(proof)
    }

    fn windows(&self) -> &AcceptanceWindows {
        self.0.windows()
    }

    fn is_shared(&self) -> bool {
        true
    }
}

#[test]
fn required_nonces_of_one_process_beside_a_shared_store_are_warned_of() {
    let api = Api::new();
    let log = Log::listen();
    let shared = || api.config().replay_store(Shared(MemoryReplayStore::new()));
    let warnings = || {
        let mut lines = log.take();
        lines.retain(|line| line.contains("their secret is that of this process"));
        lines.len()
    };
    shared().require_nonces().build().unwrap();
    assert_eq!(warnings(), 1);
    // Neither a shared secret, nor no nonces, nor a store of one process is worth a warning.
    let with_secret = shared().require_nonces().nonce_source(nonces());
    with_secret.build().unwrap();
    shared().build().unwrap();
    api.config().require_nonces().build().unwrap();
    assert_eq!(warnings(), 0);
}
