//! Metrics besides verdicts, which the tests of rejections count.

use std::num::NonZeroUsize;

use dpop_tower::{
    replay::MemoryReplayStore,
    test_util::{TestClient, TestIssuer},
};

use super::Recorded;
use crate::support::{Api, URL, Verdict, nonces};

#[test]
fn an_admitted_request_records_its_time_its_lookups_and_the_size_of_the_store() {
    let recorded = Recorded::by(async || {
        let capacity = NonZeroUsize::new(50).unwrap();
        let api = Api::with(
            |tokens| tokens,
            |config| config.replay_store(MemoryReplayStore::with_capacity(capacity)),
        );
        let token = api.token().mint();
        for _ in 0..3 {
            let proof = api.proof(&token).sign();
            assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
            api.advance(1);
        }
    });
    for (series, count) in [
        ("dpop_verification_duration_seconds admitted", 3),
        ("dpop_replay_check_duration_seconds fresh", 3),
    ] {
        let values = recorded.values(series);
        assert_eq!(values.len(), count, "{series}");
        assert!(
            values.iter().all(|time| (0.0..10.0).contains(time)),
            "{values:?}"
        );
    }
    for (series, value) in [
        ("dpop_verdicts_total strict admitted none", 3.0),
        ("dpop_cache_lookups_total token miss", 1.0),
        ("dpop_cache_lookups_total token hit", 2.0),
        ("dpop_cache_lookups_total proof_key miss", 1.0),
        ("dpop_cache_lookups_total proof_key hit", 2.0),
        ("dpop_replay_entries", 3.0),
        ("dpop_replay_capacity", 50.0),
    ] {
        assert_eq!(recorded.values(series), [value], "{series}");
    }
    assert!(recorded.values("dpop_nonce_challenges_total").is_empty());
}

#[test]
fn a_replay_and_a_full_store_are_answers_of_the_store() {
    let recorded = Recorded::by(async || {
        let capacity = NonZeroUsize::MIN;
        let api = Api::with(
            |tokens| tokens,
            |config| config.replay_store(MemoryReplayStore::with_capacity(capacity)),
        );
        let token = api.token().mint();
        let proof = api.proof(&token).sign();
        for proof in [&proof, &proof, &api.proof(&token).sign()] {
            api.get(&token, proof).await;
        }
    });
    for outcome in ["fresh", "replayed", "store_full"] {
        let series = format!("dpop_replay_check_duration_seconds {outcome}");
        assert_eq!(recorded.values(&series).len(), 1, "{outcome}");
    }
    let rejected = recorded.values("dpop_verification_duration_seconds rejected");
    assert_eq!(rejected.len(), 2);
}

#[test]
fn only_proofs_with_a_valid_signature_and_a_bound_token_tell_the_offset_of_a_clock() {
    let recorded = Recorded::by(async || {
        let api = Api::new();
        let token = api.token().mint();
        for offset in [-5, 0, 7, -3600, 3600] {
            let proof = api.proof(&token).claim("iat", api.now() + offset).sign();
            api.get(&token, &proof).await;
        }
        // A stranger, with a token of another client, and with a signature of another key.
        let stranger = TestClient::new().clock(api.clock.clone());
        let proof = stranger.proof("GET", URL).access_token(&token).sign();
        assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
        let proof = api.proof(&token).claim("iat", api.now() + 3).sign();
        let other = api.proof(&token).sign();
        let (signed, _) = proof.rsplit_once('.').unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        assert_ne!(api.get(&token, &forged).await, Verdict::Admitted);
    });
    assert_eq!(
        recorded.values("dpop_clock_offset_seconds"),
        [-5.0, 0.0, 7.0]
    );
}

#[test]
fn a_challenge_for_a_nonce_is_counted() {
    let recorded = Recorded::by(async || {
        let api = Api::with(
            |tokens| tokens,
            |config| config.nonce_source(nonces()).require_nonces(),
        );
        let token = api.token().mint();
        let proof = api.proof(&token).sign();
        assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
    });
    assert_eq!(recorded.values("dpop_nonce_challenges_total"), [1.0]);
}

#[test]
fn what_a_stranger_sends_is_no_label() {
    let marker = "marker";
    let recorded = Recorded::by(async || {
        let api = Api::new();
        let token = api.token();
        let foreign = TestIssuer::new()
            .issuer(marker)
            .token()
            .bound_to(&api.client);
        for token in [
            foreign.mint(),
            token.claim("aud", marker).mint(),
            marker.to_owned(),
        ] {
            for proof in [
                api.proof(&token).claim("htu", marker).sign(),
                api.proof(&token).claim("htm", marker).sign(),
                api.proof(&token).header("alg", marker).sign(),
                api.proof(&token).header("typ", marker).sign(),
                api.proof(&token).claim("jti", marker).sign(),
                marker.to_owned(),
            ] {
                assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
            }
        }
    });
    assert!(recorded.0.len() > 5);
    for series in recorded.0.keys() {
        assert!(!series.contains(marker), "{series}");
    }
}
