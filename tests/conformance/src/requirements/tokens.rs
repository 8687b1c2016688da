//! Requirements of a policy on a token: scopes, the user's authentication, and claims.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request as AxumRequest, routing::get};
use dpop_tower::{ConfigErrorKind, DpopLayer, Policy, Report, crypto::Algorithm};
use http::{Method, Request};
use serde_json::{Value, json};

use super::{
    bearer, insufficient_scope, layered, present, protected, respond, step_up, with_layer,
};
use crate::{
    challenge::Challenge,
    stores::CountingStore,
    support::{Api, URL, Verdict, Way, invalid_proof},
};

pub(super) async fn a_token_without_the_scope_is_rejected_with_403_and_told_which(way: Way) {
    let api = way.api();
    let missing = insufficient_scope("policy_scope_missing");
    let one = Policy::strict().require_scope("orders:write");
    let both = one.clone().require_scope("admin");
    let any = Policy::strict().require_any_scope(["orders:read", "orders:write"]);
    let mixed = any.clone().require_scope("admin");
    for (policy, granted, expected, told) in [
        (&one, "orders:write", Verdict::Admitted, ""),
        (&one, "a orders:write b", Verdict::Admitted, ""),
        (&one, "", missing, "orders:write"),
        (&one, "orders:writer", missing, "orders:write"),
        (&one, "orders", missing, "orders:write"),
        (&one, "ORDERS:WRITE", missing, "orders:write"),
        (&one, "orders:write,admin", missing, "orders:write"),
        (&both, "orders:write admin", Verdict::Admitted, ""),
        (&both, "orders:write", missing, "orders:write admin"),
        (&both, "admin", missing, "orders:write admin"),
        (&any, "orders:read", Verdict::Admitted, ""),
        (&any, "orders:write", Verdict::Admitted, ""),
        (&any, "admin", missing, "orders:read"),
        (&mixed, "orders:write admin", Verdict::Admitted, ""),
        (&mixed, "orders:write", missing, "orders:read admin"),
    ] {
        let router = layered(&api, policy.clone());
        let token = api.token().scope(granted).mint();
        let response = respond(&api, &router, &token).await;
        let challenges = Challenge::all(response.headers());
        let scope = challenges.first().and_then(|c| c.get("scope"));
        assert_eq!(scope.unwrap_or_default(), told, "{policy:?}: {granted}");
        assert_eq!(Verdict::of(response), expected, "{policy:?}: {granted}");
    }
    // The same applies without the claim, and a client without a token learns what to request.
    let router = layered(&api, one);
    let token = api.token().without_claim("scope").mint();
    assert_eq!(present(&api, &router, &token).await, missing);
    let nothing = Request::get("/orders").body(()).unwrap();
    let response = way.send(router, nothing).await;
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("scope"), Some("orders:write"));
    assert_eq!(challenges[0].get("error"), None);
}

pub(super) async fn rfc_9470_the_user_was_authenticated_as_is_asked_for_and_not_too_long_ago(
    way: Way,
) {
    let api = way.api();
    let policy = Policy::strict()
        .require_acr(["urn:mfa", "urn:hardware"])
        .max_auth_age(Duration::from_secs(300));
    let router = protected(&api, policy);
    let token = |acr: Value, auth_time: Value| {
        let token = api.token().claim("acr", acr);
        token.claim("auth_time", auth_time).mint()
    };
    let now = api.now();
    let (acr, old) = (
        step_up("policy_acr_insufficient"),
        step_up("policy_auth_too_old"),
    );
    for (of_acr, auth_time, expected) in [
        (json!("urn:mfa"), json!(now), Verdict::Admitted),
        (json!("urn:hardware"), json!(now - 300), Verdict::Admitted),
        (json!("urn:mfa"), json!(now - 301), old),
        (json!("urn:mfa"), json!(null), old),
        (json!("urn:mfa"), json!(now.to_string()), old),
        (json!("urn:mfa"), json!([now]), old),
        (json!("urn:mfa"), json!(i64::MIN), old),
        (json!("urn:pwd"), json!(now), acr),
        (json!("urn:mfa urn:pwd"), json!(now), acr),
        (json!(["urn:mfa"]), json!(now), acr),
        (json!(null), json!(now), acr),
        (json!(""), json!(now), acr),
    ] {
        let what = format!("{of_acr} {auth_time}");
        let response = respond(&api, &router, &token(of_acr, auth_time)).await;
        if expected != Verdict::Admitted {
            let challenges = Challenge::all(response.headers());
            let acr_values = challenges[0].get("acr_values");
            assert_eq!(acr_values, Some("urn:mfa urn:hardware"), "{what}");
            assert_eq!(challenges[0].get("max_age"), Some("300"), "{what}");
        }
        assert_eq!(Verdict::of(response), expected, "{what}");
    }
    assert_eq!(present(&api, &router, &api.token().mint()).await, acr);
    // A cached verdict changes nothing.
    let token = token(json!("urn:mfa"), json!(now - 299));
    assert_eq!(present(&api, &router, &token).await, Verdict::Admitted);
    api.advance(2);
    assert_eq!(present(&api, &router, &token).await, old);
}

pub(super) async fn a_claim_is_as_the_policy_wants_it(way: Way) {
    let api = way.api();
    let policy = Policy::strict()
        .require_claim("tenant", |tenant| tenant == 7)
        .require_claim("groups", |groups| {
            groups
                .as_array()
                .is_some_and(|groups| groups.contains(&json!("staff")))
        });
    let router = protected(&api, policy);
    let token = |tenant: Value, groups: Value| {
        let token = api.token().claim("tenant", tenant);
        token.claim("groups", groups).mint()
    };
    let rejected = insufficient_scope("policy_claim_insufficient");
    for (tenant, groups, expected) in [
        (json!(7), json!(["staff"]), Verdict::Admitted),
        (json!(8), json!(["staff"]), rejected),
        (json!("7"), json!(["staff"]), rejected),
        (json!(7), json!([]), rejected),
        (json!(7), json!("staff"), rejected),
        (json!(null), json!(null), rejected),
    ] {
        let what = format!("{tenant} {groups}");
        let verdict = present(&api, &router, &token(tenant, groups)).await;
        assert_eq!(verdict, expected, "{what}");
    }
    assert_eq!(present(&api, &router, &api.token().mint()).await, rejected);
}

pub(super) async fn what_a_policy_asks_for_it_asks_of_bearer_tokens_too(way: Way) {
    let api = way.api();
    let router = protected(&api, Policy::optional().require_scope("read"));
    let missing = insufficient_scope("policy_scope_missing");
    for (granted, expected) in [("read", Verdict::Admitted), ("write", missing)] {
        let token = api.issuer.token().scope(granted).mint();
        let response = way.send(router.clone(), bearer(&token)).await;
        if expected != Verdict::Admitted {
            let challenges = Challenge::all(response.headers());
            assert_eq!(challenges[1].scheme, "Bearer");
            assert_eq!(challenges[1].get("scope"), Some("read"));
        }
        assert_eq!(Verdict::of(response), expected, "{granted}");
        let bound = api.token().scope(granted).mint();
        assert_eq!(present(&api, &router, &bound).await, expected, "{granted}");
    }
}

pub(super) async fn a_request_that_lacks_a_scope_does_not_use_up_its_proof(way: Way) {
    let api = way.api();
    let store = Arc::new(CountingStore::default());
    let config = api.config().replay_store(Arc::clone(&store));
    let layer = DpopLayer::new(config.build().unwrap());
    let router =
        with_layer(layer.with_policy(Policy::strict().require_scope("b").build().unwrap()));
    let verdict = present(&api, &router, &api.token().scope("a").mint()).await;
    assert_eq!(verdict, insufficient_scope("policy_scope_missing"));
    assert_eq!(store.asked(), 0);
    // A client that has not proved possession of the key does not learn what the token lacks.
    let token = api.token().scope("a").mint();
    let forged = api.proof(&token).corrupt_signature().sign();
    let client = &api.client;
    let request = client.request_with_proof(Method::GET, URL, &token, &forged);
    assert_eq!(
        Verdict::of(way.send(router, request).await),
        invalid_proof("proof_signature_invalid")
    );
}

pub(super) async fn a_policy_that_only_reports_tells_what_is_missing(way: Way) {
    async fn report(request: AxumRequest) -> String {
        let report: &Report = request.extensions().get().unwrap();
        let rejection = report.rejection();
        rejection
            .map_or("fine", |rejection| rejection.reason())
            .to_owned()
    }
    let api = way.api();
    let layer = DpopLayer::new(api.config().build().unwrap());
    let router = Router::new()
        .route("/orders", get(report))
        .layer(layer.with_policy(Policy::report_only().require_scope("b").build().unwrap()));
    for (granted, expected) in [("b", "fine"), ("a", "policy_scope_missing")] {
        let token = api.token().scope(granted).mint();
        let response = respond(&api, &router, &token).await;
        assert_eq!(response.status(), 200);
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(&body.unwrap()[..], expected.as_bytes());
    }
}

pub(super) async fn a_policy_that_nothing_can_satisfy_is_a_mistake_in_the_configuration() {
    let api = Api::new();
    for (policy, told) in [
        (Policy::strict().require_scope("a b"), "scope"),
        (Policy::strict().require_any_scope([""; 0]), "scope"),
        (Policy::strict().proof_algorithms([]), "algorithm"),
        (Policy::strict().require_acr([""; 0]), "`acr`"),
        (Policy::off().require_scope("a"), "`off`"),
        (
            Policy::strict().max_proof_age(Duration::ZERO),
            "max_proof_age",
        ),
        (
            Policy::strict().proof_algorithms([Algorithm::Es384]),
            "ES384",
        ),
    ] {
        let error = api.config().policy(policy).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Policy);
        assert!(error.to_string().contains(told), "{error}");
    }
    assert!(
        api.config()
            .policy(Policy::strict().require_scope("a"))
            .build()
            .is_ok()
    );
}

pub(super) async fn rfc_9396_details_of_the_type_are_required(way: Way) {
    let api = way.api();
    let policy = Policy::strict().require_authorization_details("payment", |details| {
        let amount = details.get("amount").and_then(Value::as_u64);
        amount.is_some_and(|amount| amount <= 100)
    });
    let router = protected(&api, policy);
    let rejected = insufficient_scope("policy_claim_insufficient");
    for (details, expected) in [
        (
            json!([{"type": "payment", "amount": 50}]),
            Verdict::Admitted,
        ),
        (
            json!([{"type": "payment", "amount": 500}, 7, {"type": "payment", "amount": 5}]),
            Verdict::Admitted,
        ),
        (json!([{"type": "payment", "amount": 500}]), rejected),
        (json!([{"type": "payment"}]), rejected),
        (json!([{"type": "account", "amount": 50}]), rejected),
        (json!([{"type": ["payment"], "amount": 50}]), rejected),
        (json!([{"amount": 50}]), rejected),
        (json!({"type": "payment", "amount": 50}), rejected),
        (json!("[{\"type\":\"payment\",\"amount\":50}]"), rejected),
        (json!([]), rejected),
        (json!(null), rejected),
    ] {
        let token = api.token().claim("authorization_details", details.clone());
        let verdict = present(&api, &router, &token.mint()).await;
        assert_eq!(verdict, expected, "{details}");
    }
    assert_eq!(present(&api, &router, &api.token().mint()).await, rejected);
}
