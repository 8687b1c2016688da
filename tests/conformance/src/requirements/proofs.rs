//! Requirements of a policy on a proof: its age, its algorithm, and a nonce.

use std::time::Duration;

use dpop_tower::{
    ConfigErrorKind, DpopConfigBuilder, DpopLayer, Policy,
    clock::TimeSource as _,
    crypto::Algorithm,
    nonce::{NonceContext, NonceSource as _},
    test_util::{KeyKind, TestClient},
};
use http::{Method, Request};

use super::{
    layered, nonce_required, nonces, present, protected, respond, use_nonce, with_layer, with_nonce,
};
use crate::{
    challenge::Challenge,
    support::{URL, Verdict, Way, invalid_proof},
};

pub(super) async fn a_policy_shortens_the_life_of_proofs_and_never_lengthens_it(way: Way) {
    let api = way.api();
    for (secs, oldest) in [(5, 15), (60, 70), (600, 70)] {
        let policy = Policy::strict().max_proof_age(Duration::from_secs(secs));
        let router = protected(&api, policy);
        for (age, expected) in [
            (oldest, Verdict::Admitted),
            (oldest + 1, invalid_proof("proof_too_old")),
        ] {
            let token = api.token().mint();
            let proof = api.proof(&token).claim("iat", api.now() - age).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{age} s with {secs} s");
        }
    }
}

pub(super) async fn a_policy_takes_algorithms_away_and_never_adds_any(way: Way) {
    let api = way.api_with(
        |tokens| tokens,
        |config| config.algorithms([Algorithm::Es256, Algorithm::Ed25519]),
    );
    let ed25519 = TestClient::with_key(KeyKind::Ed25519).clock(api.clock.clone());
    let token = api.issuer.token().bound_to(&ed25519).mint();
    for (allowed, told, of_es256, of_ed25519) in [
        (&[Algorithm::Ed25519][..], "Ed25519", false, true),
        (&[Algorithm::Rs256, Algorithm::Es256], "ES256", true, false),
        (&Algorithm::ALL, "ES256 Ed25519", true, true),
    ] {
        let config = api
            .config()
            .algorithms([Algorithm::Es256, Algorithm::Ed25519]);
        let policy = Policy::strict().proof_algorithms(allowed.iter().copied());
        let layer = DpopLayer::new(config.build().unwrap()).with_policy(policy.build().unwrap());
        let router = with_layer(layer);
        let expected = |is_allowed| match is_allowed {
            true => Verdict::Admitted,
            false => invalid_proof("proof_alg_not_allowed"),
        };
        let verdict = present(&api, &router, &api.token().mint()).await;
        assert_eq!(verdict, expected(of_es256), "{allowed:?}");
        let verdict = Verdict::of(way.send(router.clone(), ed25519.get(URL, &token)).await);
        assert_eq!(verdict, expected(of_ed25519), "{allowed:?}");
        let nothing = Request::get("/orders").body(()).unwrap();
        let response = way.send(router, nothing).await;
        let challenges = Challenge::all(response.headers());
        assert_eq!(challenges[0].get("algs"), Some(told), "{allowed:?}");
    }
    // A configuration rejects a policy that allows no algorithm. A layer then rejects everything, and
    // has none to name.
    let policy = Policy::strict().proof_algorithms([Algorithm::Es512]);
    let error = api.config().policy(policy.clone()).build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Policy);
    assert!(error.to_string().contains("algorithms ES512"), "{error}");
    let router = layered(&api, policy);
    let response = respond(&api, &router, &api.token().mint()).await;
    assert_eq!(response.status(), 401);
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("error"), Some("invalid_dpop_proof"));
    assert_eq!(challenges[0].get("algs"), None);
}

pub(super) async fn a_nonce_is_asked_for_where_the_policy_says_so(way: Way) {
    let api = way.api();
    for shared in [true, false] {
        let config: DpopConfigBuilder = match shared {
            true => api.config().nonce_source(nonces()),
            // The secret is random for this process.
            false => api.config(),
        };
        let layer = DpopLayer::new(config.build().unwrap());
        let asking = with_layer(layer.clone().with_policy(nonce_required()));
        let other = with_layer(layer);
        let response = way.send(asking.clone(), with_nonce(&api, None)).await;
        let nonce = response.headers()["dpop-nonce"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(Verdict::of(response), use_nonce("proof_nonce_missing"));
        assert_eq!(
            nonce
                == nonces().current(&NonceContext::new(
                    api.clock.now(),
                    &dpop_tower::crypto::AwsLcRs
                )),
            shared
        );
        for (given, expected) in [
            (nonce.as_str(), Verdict::Admitted),
            ("x", use_nonce("proof_nonce_unknown")),
        ] {
            let request = with_nonce(&api, Some(given));
            let verdict = Verdict::of(way.send(asking.clone(), request).await);
            assert_eq!(verdict, expected, "{given}");
        }
        for given in [None, Some("x"), Some(nonce.as_str())] {
            let response = way.send(other.clone(), with_nonce(&api, given)).await;
            assert!(!response.headers().contains_key("dpop-nonce"), "{given:?}");
            assert_eq!(Verdict::of(response), Verdict::Admitted, "{given:?}");
        }
    }
}
