//! The extractors, and what they reject.

use axum::{Router, body::Body, routing::get};
use dpop_tower::{BearerToken, BoundToken, Policy};
use http::{Response, StatusCode, header};
use serde::Deserialize;

use super::{bearer, hello, layer, optional, text};
use crate::{
    rejection::{challenge::Challenge, logging::Log},
    support::{Api, ORIGIN, URL, Verdict, send},
};

#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    groups: Vec<String>,
}

#[tokio::test]
async fn bound_token_gives_the_thumbprint_and_typed_claims() {
    async fn handler(token: BoundToken<Claims>) -> String {
        let Claims { sub, groups } = token.claims();
        format!(
            "{sub} {groups:?} {:?} {} {} {}",
            token.issuer(),
            token.thumbprint(),
            token.has_scope("read"),
            token.has_scope("rea"),
        )
    }
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(layer(&api));
    let token = api.token().scope("read write").claim("groups", vec!["g"]);
    let response = send(router, api.client.get(URL, &token.mint())).await;
    let thumbprint = api.client.thumbprint();
    assert_eq!(
        text(response).await,
        format!("alice [\"g\"] Some(\"https://issuer.test\") {thumbprint} true false")
    );
}

#[tokio::test]
async fn bound_token_gives_untyped_claims() {
    async fn handler(token: BoundToken) -> String {
        let claims = token.claims();
        format!("{:?} {:?}", claims.subject(), claims.get("custom"))
    }
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(layer(&api));
    let token = api.token().claim("custom", 7).mint();
    let response = send(router, api.client.get(URL, &token)).await;
    assert_eq!(text(response).await, "Some(\"alice\") Some(Number(7))");
}

#[tokio::test]
async fn each_optional_extractor_is_none_for_a_token_of_the_other_kind() {
    async fn handler(
        bound: Option<BoundToken<Claims>>,
        bearer: Option<BearerToken<Claims>>,
        untyped: (Option<BoundToken>, Option<BearerToken>),
    ) -> String {
        format!(
            "{:?} {:?} {:?}",
            bound.map(|token| token.into_claims().sub),
            bearer.map(|token| token.into_claims().sub),
            (untyped.0.is_some(), untyped.1.is_some()),
        )
    }
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(handler))
        .layer(optional(&api));
    let bound = send(router.clone(), api.client.get(URL, &api.token().mint())).await;
    assert_eq!(text(bound).await, "Some(\"alice\") None (true, false)");
    let unbound = api.issuer.token().subject("bob").mint();
    let unbound = send(router, bearer(&unbound)).await;
    assert_eq!(text(unbound).await, "None Some(\"bob\") (false, true)");
}

/// Returns the error code of an extractor's rejection, which has to look like one by the layer.
fn rejected_by_extractor(response: &Response<Body>) -> String {
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].scheme, "DPoP");
    assert!(challenges[0].get("algs").is_some());
    let mut errors = challenges.iter().filter_map(|c| c.get("error"));
    errors.next().unwrap().to_owned()
}

/// Of two layers of one configuration, the one that accepts fewer schemes names them.
#[tokio::test]
async fn an_extractor_asks_for_no_scheme_that_a_layer_does_not_take() {
    let api = Api::new();
    let strict = layer(&api);
    let optional = strict.clone().with_policy(Policy::optional());
    for (outer, inner, schemes) in [
        (&optional, &optional, ["DPoP", "Bearer"].as_slice()),
        (&optional, &strict, &["DPoP"]),
        (&strict, &optional, &["DPoP"]),
    ] {
        let handler = get(|_: BearerToken| hello());
        let router = Router::new()
            .route("/orders", handler.route_layer(inner.clone()))
            .layer(outer.clone());
        let response = send(router, api.client.get(URL, &api.token().mint())).await;
        assert_eq!(rejected_by_extractor(&response), "invalid_token");
        let challenges = Challenge::all(response.headers());
        let asked: Vec<_> = challenges.iter().map(|it| it.scheme.as_str()).collect();
        assert_eq!(asked, schemes);
    }
}

#[tokio::test]
async fn claims_of_another_shape_than_the_handler_asks_for_are_an_invalid_token() {
    #[derive(Deserialize)]
    struct Demanding {
        #[expect(dead_code, reason = "only has to be there")]
        tenant: u64,
    }
    let log = Log::listen();
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(|_: BoundToken<Demanding>| hello()))
        .route("/option", get(|_: Option<BoundToken<Demanding>>| hello()))
        .route("/bearer", get(|_: BearerToken<Demanding>| hello()))
        .layer(optional(&api));
    for tenant in [serde_json::json!(null), "secret-tenant".into(), (-1).into()] {
        let token = api.token().claim("tenant", tenant.clone()).mint();
        for path in ["/orders", "/option"] {
            let request = api.client.get(&format!("{ORIGIN}{path}"), &token);
            let response = send(router.clone(), request).await;
            assert_eq!(
                rejected_by_extractor(&response),
                "invalid_token",
                "{tenant}"
            );
            assert!(!format!("{response:?}").contains("secret-tenant"));
            assert_eq!(text(response).await, "");
        }
        let mut unbound = bearer(&api.issuer.token().claim("tenant", tenant).mint());
        *unbound.uri_mut() = "/bearer".parse().unwrap();
        let response = send(router.clone(), unbound).await;
        assert_eq!(rejected_by_extractor(&response), "invalid_token");
    }
    let lines: Vec<_> = log.take();
    let is_told = |line: &&String| line.contains("rejected request") && line.contains("Demanding");
    assert_eq!(lines.iter().filter(is_told).count(), 9, "{lines:#?}");
    assert!(!lines.concat().contains("secret-tenant"));
    let good = api.token().claim("tenant", 7).mint();
    let response = send(router, api.client.get(URL, &good)).await;
    assert_eq!(Verdict::of(response), Verdict::Admitted);
}

#[tokio::test]
async fn a_token_of_the_kind_that_the_handler_does_not_ask_for_is_rejected() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(|_: BoundToken| hello()))
        .route("/bearer", get(|_: BearerToken| hello()))
        .layer(optional(&api));
    let unbound = send(router.clone(), bearer(&api.issuer.token().mint())).await;
    assert_eq!(rejected_by_extractor(&unbound), "invalid_token");
    // A bearer token would not be accepted.
    assert_eq!(Challenge::all(unbound.headers()).len(), 1);
    let bound = api
        .client
        .get("https://api.test/bearer", &api.token().mint());
    let bound = send(router, bound).await;
    assert_eq!(rejected_by_extractor(&bound), "invalid_token");
}

#[tokio::test]
async fn a_handler_without_a_layer_answers_500_to_whatever_it_asks_for() {
    let log = Log::listen();
    let api = Api::new();
    let routers = [
        Router::new().route("/orders", get(|_: BoundToken| hello())),
        Router::new().route("/orders", get(|_: BoundToken<Claims>| hello())),
        Router::new().route("/orders", get(|_: Option<BoundToken>| hello())),
        Router::new().route("/orders", get(|_: Option<BoundToken<Claims>>| hello())),
        Router::new().route("/orders", get(|_: BearerToken| hello())),
        Router::new().route("/orders", get(|_: Option<BearerToken<Claims>>| hello())),
    ];
    for router in routers {
        let request = api.client.get(URL, &api.token().mint());
        let response = send(router, request).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
        assert_eq!(text(response).await, "");
        let lines = log.take().concat();
        assert!(
            lines.contains("ERROR") && lines.contains("no DpopLayer in front of a handler"),
            "{lines}"
        );
    }
}
