//! Nested layers: an inner one only tightens.

use axum::{Router, routing::get};
use dpop_tower::{DpopConfig, DpopLayer, Policy, RequireScopeLayer};
use http::Request;

use super::{
    Bound, accepting, as_bearer, certificate, connections, found, outcome, with_certificate,
};
use crate::support::{Api, URL, send};

/// One configuration for both layers, or one for each.
fn nested(configs: [DpopConfig; 2], [outer, inner]: [&Policy; 2]) -> Router {
    let [of_outer, of_inner] = configs;
    Router::new()
        .route("/orders", get(found))
        .layer(DpopLayer::new(of_inner).with_policy(inner.clone()))
        .layer(DpopLayer::new(of_outer).with_policy(outer.clone()))
}

fn policies() -> Vec<Policy> {
    let required = |policy: Policy| policy.require_certificate_bound().build().unwrap();
    vec![
        Policy::strict(),
        accepting(),
        Policy::optional(),
        Policy::optional().accept_certificate_bound(),
        required(Policy::strict()),
        required(accepting()),
        required(Policy::optional().accept_certificate_bound()),
    ]
}

/// Requests without a proof, so that they can be sent several times.
fn requests(api: &Api) -> Vec<Request<()>> {
    let mut requests = Vec::new();
    for bound in Bound::ALL {
        let token = bound.token(api);
        for connection in connections() {
            requests.push(with_certificate(as_bearer(&token), connection.as_ref()));
        }
    }
    requests
}

#[tokio::test]
async fn a_pair_of_layers_admits_what_each_of_them_admits() {
    let api = Api::new();
    let is_admitted = |found: &str| found == "certificate" || found == "bearer";
    let requests = requests(&api);
    for outer in &policies() {
        for inner in &policies() {
            let one = api.config().build().unwrap();
            let other = api.config().build().unwrap();
            let same = nested([one.clone(), one.clone()], [outer, inner]);
            let different = nested([one.clone(), other], [outer, inner]);
            let alone = [outer, inner].map(|policy| {
                Router::new()
                    .route("/orders", get(found))
                    .layer(DpopLayer::new(one.clone()).with_policy(policy.clone()))
            });
            for request in &requests {
                let by_outer = outcome(&alone[0], request.clone()).await;
                let by_inner = outcome(&alone[1], request.clone()).await;
                let expected = if is_admitted(&by_outer) {
                    by_inner
                } else {
                    by_outer
                };
                for pair in [&same, &different] {
                    let found = outcome(pair, request.clone()).await;
                    assert_eq!(found, expected, "{outer}; {inner}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_inner_layer_of_the_same_configuration_can_require_the_certificate_beside_the_key() {
    let api = Api::new();
    let config = api.config().build().unwrap();
    let inner = Policy::strict()
        .require_certificate_bound()
        .build()
        .unwrap();
    let pair = nested([config.clone(), config], [&Policy::strict(), &inner]);
    let own = certificate();
    for (bound, expected) in [
        (Bound::Key, "policy_certificate_binding_missing"),
        (Bound::Both, "both"),
    ] {
        let request = api.client.get(URL, &bound.token(&api));
        let request = with_certificate(request, Some(&own));
        assert_eq!(outcome(&pair, request).await, expected);
    }
}

#[tokio::test]
async fn a_layer_that_requires_a_scope_takes_the_tokens_of_the_layer_around_it() {
    let api = Api::new();
    let own = certificate();
    for (scope, expected) in [
        ("orders:read", "certificate"),
        ("orders:write", "policy_scope_missing"),
    ] {
        let config = api.config().policy(accepting()).build().unwrap();
        let router = Router::new()
            .route("/orders", get(found))
            .layer(RequireScopeLayer::new(scope).unwrap())
            .layer(DpopLayer::new(config));
        let request = || with_certificate(as_bearer(&Bound::Certificate.token(&api)), Some(&own));
        assert_eq!(outcome(&router, request()).await, expected);
        if expected == "policy_scope_missing" {
            let response = send(router, request()).await;
            assert_eq!(response.status(), 403);
            let values = response.headers().get_all("www-authenticate");
            let last = values.iter().next_back().unwrap().to_str().unwrap();
            assert!(
                last.starts_with("Bearer error=\"insufficient_scope\""),
                "{last}"
            );
        }
    }
}
