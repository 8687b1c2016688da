//! `test_util` creates what it says it does.

use std::time::Duration;

use dpop_tower::{Policy, clock::TimeSource as _, test_util::TokenBuilder};
use http::{Method, Request};
use serde_json::Value;

use crate::support::{Api, URL, Verdict, invalid_token, send};

fn claim(token: &TokenBuilder, name: &str) -> Value {
    let claims: Value = serde_json::from_str(&token.payload_json()).unwrap();
    claims[name].clone()
}

#[tokio::test]
async fn a_token_expires_when_it_is_told_to() {
    let api = Api::new();
    let lasting = |secs| api.token().expires_in(Duration::from_secs(secs));
    assert_eq!(claim(&lasting(7), "exp"), api.now() + 7);
    let (token, over) = (lasting(7).mint(), lasting(0).mint());
    let get = |token: &str| api.client.get(URL, token);
    assert_eq!(api.send(get(&token)).await, Verdict::Admitted);
    assert_eq!(api.send(get(&over)).await, invalid_token("token_expired"));
    api.advance(6);
    assert_eq!(api.send(get(&token)).await, Verdict::Admitted);
    api.advance(1);
    assert_eq!(api.send(get(&token)).await, invalid_token("token_expired"));
}

#[tokio::test]
async fn acr_and_auth_time_are_what_step_up_looks_at() {
    let api = Api::new();
    let policy = Policy::strict()
        .require_acr(["high"])
        .max_auth_age(Duration::from_secs(60));
    let config = api.config().policy(policy).build().unwrap();
    let now = api.clock.now();
    let good = api.token().acr("high").auth_time(now);
    let long_ago = now.saturating_sub(Duration::from_secs(3_600));
    for (token, reason) in [
        (good.clone(), None),
        (good.clone().acr("low"), Some("policy_acr_insufficient")),
        (good.auth_time(long_ago), Some("policy_auth_too_old")),
    ] {
        let request = api.client.get(URL, &token.mint());
        let response = send(crate::support::router(config.clone()), request).await;
        let expected = reason.map_or(Verdict::Admitted, |reason| Verdict::Rejected {
            status: 401,
            error: "insufficient_user_authentication",
            reason,
        });
        assert_eq!(Verdict::of(response), expected);
    }
}

#[tokio::test]
async fn headers_of_any_request_can_be_signed() {
    let api = Api::new();
    let token = api.token().mint();
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/orders".parse().unwrap();
    let proof = || api.client.proof("POST", URL);
    proof()
        .access_token(&token)
        .sign_into(request.headers_mut());
    assert_eq!(api.send(request.clone()).await, Verdict::Admitted);
    // After signing it again, it still has one header of each.
    proof()
        .access_token(&token)
        .sign_into(request.headers_mut());
    assert_eq!(api.send(request.clone()).await, Verdict::Admitted);
    // Without a token there is no `ath`, and the token's header is unchanged.
    proof().sign_into(request.headers_mut());
    let rejected = crate::support::invalid_proof("proof_missing_claim");
    assert_eq!(api.send(request).await, rejected);
}

#[tokio::test]
async fn a_request_of_tonics_can_be_signed() {
    let api = Api::new();
    let token = api.token().mint();
    let mut request = tonic::Request::new(());
    api.client
        .proof("POST", "https://api.test/orders")
        .access_token(&token)
        .sign_into_grpc(&mut request);
    let (metadata, _, ()) = request.into_parts();
    let mut request = Request::post("/orders").body(()).unwrap();
    *request.headers_mut() = metadata.into_headers();
    assert_eq!(api.send(request).await, Verdict::Admitted);
}

#[test]
#[should_panic(expected = "`uri` is")]
fn a_request_whose_uri_and_token_are_swapped_is_not_made() {
    let api = Api::new();
    let _ = api.client.get(&api.token().mint(), URL);
}

#[test]
#[should_panic(expected = "`method` is a method")]
fn a_proof_whose_method_and_uri_are_swapped_is_not_made() {
    let _ = Api::new().client.proof(URL, "GET");
}

#[test]
fn the_prelude_has_types_and_traits() {
    use dpop_tower::prelude::*;

    fn is_extended<T: RequestExt>() {}
    fn are_types<A, B, C, D, E, F, G, H>() {}
    is_extended::<tonic::Request<()>>();
    are_types::<
        BearerToken,
        BoundToken,
        DpopConfig,
        DpopLayer,
        Issuer,
        Policy,
        PolicyTable,
        PublicOrigin,
    >();
}
