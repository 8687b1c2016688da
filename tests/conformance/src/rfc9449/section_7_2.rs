//! Section 7.2: a bound token is never accepted as a bearer token, and an unbound one never as a bound
//! token.

use crate::support::{Api, Over, URL, Verdict, Way, invalid_request, invalid_token};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    routing::get,
};
use dpop_tower::{BearerToken, BoundToken, Policy};
use http::{HeaderMap, HeaderValue, StatusCode, header};

cases! { rfc9449::section_7_2 as section_7_2;
each_way [
    the_scheme_of_a_bound_token_has_no_spelling_that_makes_it_a_bearer_token,
    a_second_authorization_header_is_rejected_whatever_it_is,
    a_token_anywhere_but_in_the_authorization_header_is_no_token,
    a_bearer_token_that_is_not_valid_is_rejected_as_any_other,
]
}

/// Returns an API whose response says with which scheme the token was accepted.
fn router(api: &Api, policy: Policy) -> Router {
    async fn how(request: Request) -> &'static str {
        let extensions = request.extensions();
        match (
            extensions.get::<BoundToken>(),
            extensions.get::<BearerToken>(),
        ) {
            (Some(_), None) => "bound",
            (None, Some(_)) => "bearer",
            (None, None) => "neither",
            (Some(_), Some(_)) => "both",
        }
    }
    async fn how_by_headers(headers: HeaderMap) -> &'static str {
        match (
            headers.contains_key("x-dpop-thumbprint"),
            headers.contains_key("x-dpop-subject"),
        ) {
            (true, true) => "bound",
            (false, true) => "bearer",
            (false, false) => "neither",
            (true, false) => "both",
        }
    }
    let config = api.config().policy(policy).build().unwrap();
    let of = |handler| Router::new().route("/orders", handler);
    api.way
        .protect(config, of(get(how)), of(get(how_by_headers)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Bound,
    Bearer,
    Rejected(Verdict),
}

async fn outcome(way: Way, router: &Router, headers: HeaderMap) -> Outcome {
    let mut request = http::Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    *request.headers_mut() = headers;
    let response = way.send(router.clone(), request).await;
    if response.status() != StatusCode::OK {
        return Outcome::Rejected(Verdict::of(response));
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 100).await.unwrap();
    let response = http::Response::from_parts(parts, Body::empty());
    assert_eq!(Verdict::of(response), Verdict::Admitted);
    match &body[..] {
        b"bound" => Outcome::Bound,
        b"bearer" => Outcome::Bearer,
        other => panic!("{other:?}"),
    }
}

fn headers(values: &[(header::HeaderName, String)]) -> HeaderMap {
    values
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

fn authorization(scheme: &str, token: &str) -> (header::HeaderName, String) {
    (header::AUTHORIZATION, format!("{scheme} {token}"))
}

fn dpop(proof: String) -> (header::HeaderName, String) {
    (header::HeaderName::from_static("dpop"), proof)
}

async fn the_scheme_of_a_bound_token_has_no_spelling_that_makes_it_a_bearer_token(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let router = router(&api, Policy::optional());
    let as_bearer = Outcome::Rejected(invalid_token("token_bound_as_bearer"));
    let missing = Outcome::Rejected(Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    });
    let malformed = Outcome::Rejected(invalid_request("credentials_malformed"));
    for (value, expected) in [
        (format!("bearer {token}"), as_bearer),
        (format!("BEARER {token}"), as_bearer),
        (format!("Bearer  {token}"), as_bearer),
        (format!("Bearer\t{token}"), missing),
        (format!("Bearer:{token}"), missing),
        (format!("Bearer2 {token}"), missing),
        (format!("Token {token}"), missing),
        (format!("Basic {token}"), missing),
        (token.clone(), missing),
        // A socket removes the space (RFC 9110 section 5.5), but the token is bound either way.
        (
            format!(" Bearer {token}"),
            match way.over {
                Over::Process | Over::Observed(_) => malformed,
                Over::Socket | Over::Proxy(_) => as_bearer,
            },
        ),
        (format!("Bearer {token},"), malformed),
        (format!("Bearer {token} x"), malformed),
        (format!("Bearer {token}, DPoP {token}"), malformed),
        (format!("DPoP {token}, Bearer {token}"), malformed),
        (format!("Bearer token={token}"), malformed),
        (format!("Bearer \"{token}\""), malformed),
    ] {
        let found = outcome(
            way,
            &router,
            headers(&[(header::AUTHORIZATION, value.clone())]),
        )
        .await;
        assert_eq!(found, expected, "{}", value.replace(&token, "…"));
    }
}

async fn a_second_authorization_header_is_rejected_whatever_it_is(way: Way) {
    let api = way.api();
    let (bound, open) = (api.token().mint(), api.issuer.token().mint());
    let two = Outcome::Rejected(invalid_request("credentials_multiple"));
    for policy in [Policy::strict(), Policy::optional()] {
        let router = router(&api, policy);
        for (first, second) in [
            (authorization("DPoP", &bound), authorization("DPoP", &bound)),
            (
                authorization("DPoP", &bound),
                authorization("Bearer", &open),
            ),
            (
                authorization("Bearer", &open),
                authorization("DPoP", &bound),
            ),
            (
                authorization("Bearer", &open),
                authorization("Bearer", &bound),
            ),
            (
                authorization("Bearer", &open),
                authorization("Bearer", &open),
            ),
            (
                authorization("Basic", "YTpi"),
                authorization("DPoP", &bound),
            ),
            (
                authorization("DPoP", &bound),
                (header::AUTHORIZATION, String::new()),
            ),
        ] {
            let proof = dpop(api.proof(&bound).sign());
            let found = outcome(way, &router, headers(&[first, second, proof])).await;
            assert_eq!(found, two);
        }
    }
}

/// RFC 6750 sections 2.2 and 2.3 define other places for a bearer token. RFC 9700 section 4.3.2 rules
/// out the query.
async fn a_token_anywhere_but_in_the_authorization_header_is_no_token(way: Way) {
    let api = way.api();
    for (policy, token) in [
        (Policy::strict(), api.token().mint()),
        (Policy::optional(), api.token().mint()),
        (Policy::optional(), api.issuer.token().mint()),
    ] {
        let router = router(&api, policy);
        let mut request = api.client.get(URL, &token);
        request.headers_mut().remove(header::AUTHORIZATION);
        *request.uri_mut() = format!("/orders?access_token={token}").parse().unwrap();
        let value: HeaderValue = format!("Bearer {token}").parse().unwrap();
        for name in ["x-authorization", "proxy-authorization", "cookie"] {
            request.headers_mut().insert(name, value.clone());
        }
        assert_eq!(
            Verdict::of(way.send(router, request).await),
            Verdict::Rejected {
                status: 401,
                error: "",
                reason: "credentials_missing",
            }
        );
    }
}

async fn a_bearer_token_that_is_not_valid_is_rejected_as_any_other(way: Way) {
    let api = way.api();
    let router = router(&api, Policy::optional());
    let token = || api.issuer.token();
    for (what, token, reason) in [
        (
            "expired",
            token().claim("exp", api.now()).mint(),
            "token_expired",
        ),
        (
            "corrupt",
            token().corrupt_signature().mint(),
            "token_signature_invalid",
        ),
        (
            "not signed",
            token().header("alg", "none").empty_signature().mint(),
            "token_alg_not_allowed",
        ),
        (
            "another audience",
            token().claim("aud", "x").mint(),
            "token_audience_mismatch",
        ),
        ("no token", "x".to_owned(), "token_malformed"),
    ] {
        let found = outcome(way, &router, headers(&[authorization("Bearer", &token)])).await;
        assert_eq!(found, Outcome::Rejected(invalid_token(reason)), "{what}");
    }
}
