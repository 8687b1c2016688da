//! Routes that accept both schemes, and the syntax of the schemes.

use axum::Router;
use dpop_tower::{DpopConfig, Policy, PublicOrigin};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt as _;

use super::plain;
use crate::{
    challenge::Challenge,
    support::{Api, ORIGIN, URL, Verdict, Way, invalid_request, invalid_token},
};

/// Returns an optional route whose handler says what kind of token it got.
fn optional(way: Way) -> (Api, Router) {
    async fn kind(
        bound: Option<dpop_tower::BoundToken>,
        bearer: Option<dpop_tower::BearerToken>,
    ) -> &'static str {
        match (bound, bearer) {
            (Some(_), None) => "bound",
            (None, Some(_)) => "bearer",
            (None, None) | (Some(_), Some(_)) => panic!("neither or both"),
        }
    }
    async fn kind_by_headers(headers: HeaderMap) -> &'static str {
        assert!(headers.contains_key("x-dpop-subject"));
        match headers.get("x-dpop-thumbprint") {
            Some(_) => "bound",
            None => "bearer",
        }
    }
    let api = way.api();
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
        .policy(Policy::optional())
        .build();
    let of = |handler| Router::new().route("/orders", handler);
    let by_headers = of(axum::routing::get(kind_by_headers));
    let router = way.protect(config.unwrap(), of(axum::routing::get(kind)), by_headers);
    (api, router)
}

pub(super) async fn an_optional_route_takes_unbound_tokens_as_bearer_and_bound_ones_with_a_proof(
    way: Way,
) {
    let (api, router) = optional(way);
    let unbound = format!("Bearer {}", api.issuer.token().mint());
    for (request, kind) in [
        (plain(&[("authorization", &unbound)]), "bearer"),
        (api.client.get(URL, &api.token().mint()), "bound"),
    ] {
        let response = way.send(router.clone(), request).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, kind);
    }
}

pub(super) async fn an_optional_route_rejects_what_is_sent_with_the_wrong_scheme(way: Way) {
    let (api, router) = optional(way);
    let bound = format!("Bearer {}", api.token().mint());
    let response = way
        .send(router.clone(), plain(&[("authorization", &bound)]))
        .await;
    assert_eq!(
        Verdict::of(response),
        invalid_token("token_bound_as_bearer")
    );
    // An additional proof makes no difference.
    let mut request = api.client.get(URL, &api.token().mint());
    let value = HeaderValue::from_str(&bound).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    let response = way.send(router.clone(), request).await;
    assert_eq!(
        Verdict::of(response),
        invalid_token("token_bound_as_bearer")
    );
    let unbound = api.client.get(URL, &api.issuer.token().mint());
    let response = way.send(router, unbound).await;
    assert_eq!(Verdict::of(response), invalid_token("token_not_bound"));
}

pub(super) async fn an_optional_route_offers_dpop_first_and_bearer_second(way: Way) {
    let (api, router) = optional(way);
    let bound_as_bearer = format!("Bearer {}", api.token().mint());
    let no_proof = format!("DPoP {}", api.token().mint());
    // (Authorization, error of the DPoP challenge, error of the Bearer challenge)
    for (authorization, dpop, bearer) in [
        (None, None, None),
        (Some("Basic YTpi"), None, None),
        (Some(bound_as_bearer.as_str()), None, Some("invalid_token")),
        (Some("Bearer opaque"), None, Some("invalid_token")),
        (Some(&no_proof), Some("invalid_dpop_proof"), None),
        (Some("DPoP"), Some("invalid_request"), None),
    ] {
        let headers = authorization.map(|value| ("authorization", value));
        let response = way.send(router.clone(), plain(headers.as_slice())).await;
        let challenges = Challenge::all(response.headers());
        let schemes: Vec<_> = challenges.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["DPoP", "Bearer"], "{authorization:?}");
        assert_eq!(challenges[0].get("error"), dpop, "{authorization:?}");
        assert_eq!(challenges[1].get("error"), bearer, "{authorization:?}");
        assert!(challenges[0].get("algs").is_some());
        assert_eq!(challenges[1].get("algs"), None);
    }
}

pub(super) async fn scheme_names_have_no_case_and_any_number_of_spaces_after_them(way: Way) {
    let (api, router) = optional(way);
    for scheme in ["DPoP", "dpop", "DPOP", "dPoP", "DPoP  "] {
        let token = api.token().mint();
        let proof = api.proof(&token).sign();
        let authorization = format!("{scheme} {token}");
        let request = plain(&[("authorization", &authorization), ("dpop", &proof)]);
        let verdict = Verdict::of(way.send(router.clone(), request).await);
        assert_eq!(verdict, Verdict::Admitted, "{scheme:?}");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let authorization = format!("{scheme} {}", api.issuer.token().mint());
        let request = plain(&[("authorization", &authorization)]);
        let verdict = Verdict::of(way.send(router.clone(), request).await);
        assert_eq!(verdict, Verdict::Admitted, "{scheme:?}");
    }
}

pub(super) async fn bearer_and_dpop_credentials_together_are_rejected(way: Way) {
    let (api, router) = optional(way);
    let token = api.token().mint();
    let unbound = format!("Bearer {}", api.issuer.token().mint());
    for first_is_bearer in [true, false] {
        let mut request = api.client.get(URL, &token);
        let headers = request.headers_mut();
        let dpop = headers.remove(header::AUTHORIZATION).unwrap();
        let bearer = HeaderValue::from_str(&unbound).unwrap();
        let mut values = [bearer, dpop];
        if !first_is_bearer {
            values.reverse();
        }
        for value in values {
            headers.append(header::AUTHORIZATION, value);
        }
        let response = way.send(router.clone(), request).await;
        // It is unclear which of the two was meant, so both challenges contain the error (figure 19).
        for challenge in Challenge::all(response.headers()) {
            assert_eq!(challenge.get("error"), Some("invalid_request"));
        }
        assert_eq!(
            Verdict::of(response),
            invalid_request("credentials_multiple")
        );
    }
}
