//! Section 7.1: what a rejected client is told, over HTTP and gRPC.

use crate::support::{
    Api, ORIGIN, URL, Verdict, Way, Why, invalid_request, invalid_token, send, unavailable,
};
use crate::{challenge::Challenge, stores::Outage};
use axum::{Router, body::Body};
use dpop_tower::{
    DpopConfig, Policy, PublicOrigin,
    clock::UnixTime,
    future::MaybeReady,
    nonce::{NonceSecret, StatelessNonces},
    replay::{MemoryReplayStore, StoreError},
    test_util::TestClient,
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::json;
use std::{num::NonZeroUsize, sync::Arc};

cases! { rfc9449::section_7_1 as section_7_1;
each_way [
    every_rejection_has_its_status_and_error_code,
    every_401_and_400_has_one_dpop_challenge_that_can_be_parsed,
    every_rejection_must_not_be_stored_and_has_an_empty_body,
    only_a_503_says_when_to_try_again,
    the_description_tells_no_more_than_the_kind_of_error,
    every_rejection_of_a_grpc_request_is_a_response_of_headers_alone,
    a_grpc_rejection_keeps_the_headers_of_the_http_one,
    a_grpc_rejection_has_the_content_type_of_the_request_without_its_message_format,
    other_content_types_are_not_taken_for_grpc,
    a_full_store_is_a_503_for_all_and_a_full_share_for_one,
    an_outage_is_never_taken_for_a_verdict_on_a_bad_request,
    an_optional_route_takes_unbound_tokens_as_bearer_and_bound_ones_with_a_proof,
    an_optional_route_rejects_what_is_sent_with_the_wrong_scheme,
    an_optional_route_offers_dpop_first_and_bearer_second,
    scheme_names_have_no_case_and_any_number_of_spaces_after_them,
    bearer_and_dpop_credentials_together_are_rejected,
    no_rejection_speaks_to_proxies,
    the_challenge_lists_the_configured_algorithms_in_their_order,
]
}

/// A request that is rejected, and how.
struct Case {
    reason: &'static str,
    status: u16,
    error: Option<&'static str>,
    router: Router,
    request: Request<()>,
}

impl Case {
    fn new(row: Row, reason: &'static str, router: &Router, request: Request<()>) -> Self {
        Self {
            reason,
            status: row.0,
            error: row.1,
            router: router.clone(),
            request,
        }
    }

    async fn response(self, way: Way) -> Response<Body> {
        way.send(self.router, self.request).await
    }
}

/// The rows of the table of rejections.
#[derive(Clone, Copy)]
struct Row(u16, Option<&'static str>);

const NO_CREDENTIALS: Row = Row(401, None);

const REQUEST: Row = Row(400, Some("invalid_request"));

const PROOF: Row = Row(401, Some("invalid_dpop_proof"));

const NONCE: Row = Row(401, Some("use_dpop_nonce"));

const TOKEN: Row = Row(401, Some("invalid_token"));

const UNAVAILABLE: Row = Row(503, None);

/// An outage of the issuer.
#[derive(Debug)]
struct NoKeys;

impl TokenVerifier for NoKeys {
    fn verify(
        &self,
        _: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(Err(TokenErrorKind::KeysUnavailable.into()))
    }
}

/// An API whose replay store answers with this error.
fn outage(way: Way, error: fn() -> StoreError) -> Api {
    way.api_with(
        |tokens| tokens,
        |config| config.replay_store(Outage::of(error)),
    )
}

fn nonces() -> StatelessNonces {
    StatelessNonces::new(NonceSecret::new([7; 32]).unwrap())
}

/// `GET` of [`URL`] with these headers.
fn plain(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    request
}

/// At least one request for every way to be rejected.
async fn cases(way: Way) -> Vec<Case> {
    let api = way.api();
    let mut cases = Vec::new();
    let token = api.token().mint();
    let dpop = format!("DPoP {token}");
    let proof = || api.proof(&token);
    let good = proof().sign();
    let with = |token: &str, proof: &str| {
        api.client
            .request_with_proof(Method::GET, URL, token, proof)
    };
    let other = TestClient::new().clock(api.clock.clone());

    for (row, reason, headers) in [
        (NO_CREDENTIALS, "credentials_missing", &[][..]),
        (
            NO_CREDENTIALS,
            "credentials_missing",
            &[("authorization", "Basic YTpi")],
        ),
        (
            NO_CREDENTIALS,
            "credentials_missing",
            &[("dpop", good.as_str())],
        ),
        (
            REQUEST,
            "credentials_malformed",
            &[("authorization", "DPoP"), ("dpop", &good)],
        ),
        (
            REQUEST,
            "credentials_malformed",
            &[("authorization", "DPoP a b"), ("dpop", &good)],
        ),
        (
            REQUEST,
            "credentials_multiple",
            &[
                ("authorization", &dpop),
                ("authorization", &dpop),
                ("dpop", &good),
            ],
        ),
        (PROOF, "proof_missing", &[("authorization", &dpop)]),
        (
            PROOF,
            "proof_multiple",
            &[("authorization", &dpop), ("dpop", &good), ("dpop", &good)],
        ),
        (
            TOKEN,
            "token_scheme_not_accepted",
            &[("authorization", &format!("Bearer {token}"))],
        ),
        (
            TOKEN,
            "token_too_long",
            &[
                ("authorization", &format!("DPoP {}", "a".repeat(20_000))),
                ("dpop", &good),
            ],
        ),
    ] {
        cases.push(Case::new(row, reason, &api.router, plain(headers)));
    }

    let mut asterisk = with(&token, &good);
    *asterisk.method_mut() = Method::OPTIONS;
    *asterisk.uri_mut() = "*".parse().unwrap();
    cases.push(Case::new(REQUEST, "target_invalid", &api.router, asterisk));

    for (reason, proof) in [
        ("proof_malformed", "a.b.c".to_owned()),
        ("proof_too_long", "a".repeat(20_000)),
        ("proof_typ_invalid", proof().header("typ", "JWT").sign()),
        (
            "proof_crit_not_supported",
            proof().header("crit", json!(["x"])).sign(),
        ),
        (
            "proof_alg_not_allowed",
            proof().header("alg", "none").sign(),
        ),
        ("proof_key_invalid", proof().without_header("jwk").sign()),
        ("proof_key_mismatch", proof().header("alg", "EdDSA").sign()),
        ("proof_missing_claim", proof().without_claim("jti").sign()),
        ("proof_invalid_claim", proof().claim("jti", 7).sign()),
        ("proof_htm_mismatch", proof().claim("htm", "POST").sign()),
        ("proof_htu_invalid", proof().claim("htu", "x").sign()),
        (
            "proof_htu_mismatch",
            proof().claim("htu", "https://evil.test/orders").sign(),
        ),
        ("proof_too_old", proof().claim("iat", api.now() - 71).sign()),
        (
            "proof_from_future",
            proof().claim("iat", api.now() + 11).sign(),
        ),
        (
            "proof_not_yet_valid",
            proof().claim("nbf", api.now() + 11).sign(),
        ),
        ("proof_expired", proof().claim("exp", api.now() - 11).sign()),
        ("proof_ath_mismatch", proof().access_token("other").sign()),
        (
            "proof_signature_invalid",
            proof().corrupt_signature().sign(),
        ),
    ] {
        let request = with(&token, &proof);
        cases.push(Case::new(PROOF, reason, &api.router, request));
    }
    let used = proof().sign();
    assert_eq!(api.get(&token, &used).await, Verdict::Admitted);
    cases.push(Case::new(
        PROOF,
        "proof_replayed",
        &api.router,
        with(&token, &used),
    ));

    for (reason, token) in [
        ("token_malformed", "opaque".to_owned()),
        ("token_expired", api.token().claim("exp", 1).mint()),
        (
            "token_not_yet_valid",
            api.token().claim("nbf", api.now() + 60).mint(),
        ),
        ("token_typ_invalid", api.token().header("typ", "JWT").mint()),
        (
            "token_alg_not_allowed",
            api.token().header("alg", "none").mint(),
        ),
        (
            "token_key_unknown",
            api.token().header("kid", "other").mint(),
        ),
        (
            "token_crit_not_supported",
            api.token().header("crit", json!(["x"])).mint(),
        ),
        (
            "token_signature_invalid",
            api.token().corrupt_signature().mint(),
        ),
        (
            "token_issuer_mismatch",
            api.token().claim("iss", "https://other.test").mint(),
        ),
        (
            "token_audience_mismatch",
            api.token().claim("aud", "https://other.test").mint(),
        ),
        (
            "token_missing_claim",
            api.token().without_claim("exp").mint(),
        ),
        ("token_invalid_claim", api.token().claim("iss", 7).mint()),
        (
            "token_confirmation_invalid",
            api.token().claim("cnf", json!({})).mint(),
        ),
        (
            "token_confirmation_not_supported",
            api.token().claim("cnf", json!({"x5t#S256": "x"})).mint(),
        ),
        ("token_not_bound", api.issuer.token().mint()),
        (
            "token_binding_mismatch",
            api.token().bound_to(&other).mint(),
        ),
    ] {
        let request = api.client.get(URL, &token);
        cases.push(Case::new(TOKEN, reason, &api.router, request));
    }

    let asking = way.api_with(
        |tokens| tokens,
        |config| config.nonce_source(nonces()).require_nonces(),
    );
    let token = asking.token().mint();
    for (reason, proof) in [
        ("proof_nonce_missing", asking.proof(&token).sign()),
        (
            "proof_nonce_unknown",
            asking.proof(&token).nonce("x").sign(),
        ),
    ] {
        let request = asking
            .client
            .request_with_proof(Method::GET, URL, &token, &proof);
        cases.push(Case::new(NONCE, reason, &asking.router, request));
    }

    for (reason, error) in [
        ("store_full", StoreError::full as fn() -> StoreError),
        ("key_full", StoreError::key_full),
        ("subject_full", StoreError::subject_full),
        ("store_unavailable", || StoreError::unavailable("no route")),
    ] {
        let api = outage(way, error);
        let request = api.client.get(URL, &api.token().mint());
        cases.push(Case::new(UNAVAILABLE, reason, &api.router, request));
    }
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let without_keys = DpopConfig::builder(origin, Arc::new(NoKeys)).clock(api.clock.clone());
    let without_keys = way.backend.chosen(without_keys).build();
    let request = api.client.get(URL, &api.token().mint());
    cases.push(Case::new(
        UNAVAILABLE,
        "keys_unavailable",
        &way.router(without_keys.unwrap()),
        request,
    ));
    cases
}

async fn every_rejection_has_its_status_and_error_code(way: Way) {
    for case in cases(way).await {
        let expected = Verdict::Rejected {
            status: case.status,
            error: case.error.unwrap_or_default(),
            reason: case.reason,
        };
        assert_eq!(Verdict::of(case.response(way).await), expected);
    }
}

async fn every_401_and_400_has_one_dpop_challenge_that_can_be_parsed(way: Way) {
    for case in cases(way).await {
        let (reason, status, error) = (case.reason, case.status, case.error);
        let response = case.response(way).await;
        let challenges = Challenge::all(response.headers());
        if status == 503 {
            assert_eq!(challenges, [], "{reason}");
            continue;
        }
        let [challenge] = &challenges[..] else {
            panic!("{reason}: {challenges:?}");
        };
        assert_eq!(challenge.scheme, "DPoP", "{reason}");
        assert_eq!(challenge.get("error"), error, "{reason}");
        let names: &[_] = match error {
            Some(_) => &["error", "error_description", "algs"],
            // RFC 6750 section 3.1: no error information without credentials.
            None => &["algs"],
        };
        assert_eq!(challenge.names(), names, "{reason}");
        assert_eq!(
            challenge.get("algs").unwrap().split(' ').next(),
            Some("ES256"),
            "{reason}"
        );
    }
}

async fn every_rejection_must_not_be_stored_and_has_an_empty_body(way: Way) {
    for case in cases(way).await {
        let reason = case.reason;
        let response = case.response(way).await;
        let cache: Vec<_> = response
            .headers()
            .get_all(header::CACHE_CONTROL)
            .iter()
            .collect();
        assert_eq!(cache, ["no-store"], "{reason}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{reason}");
    }
}

async fn only_a_503_says_when_to_try_again(way: Way) {
    for case in cases(way).await {
        let (reason, status) = (case.reason, case.status);
        let response = case.response(way).await;
        let wait = response.headers().get(header::RETRY_AFTER);
        let secs = wait.map(|wait| wait.to_str().unwrap().parse::<u32>().unwrap());
        assert_eq!(secs.is_some_and(|secs| secs > 0), status == 503, "{reason}");
    }
}

async fn the_description_tells_no_more_than_the_kind_of_error(way: Way) {
    for case in cases(way).await {
        let reason = case.reason;
        let response = case.response(way).await;
        let why = Why::of(&response).unwrap();
        let challenges = Challenge::all(response.headers());
        if let Some(text) = challenges.first().and_then(|c| c.get("error_description")) {
            assert_eq!(text, why.description, "{reason}");
        }
    }
}

fn as_grpc(mut request: Request<()>, content_type: &'static str) -> Request<()> {
    let value = HeaderValue::from_static(content_type);
    request.headers_mut().insert(header::CONTENT_TYPE, value);
    request
}

async fn every_rejection_of_a_grpc_request_is_a_response_of_headers_alone(way: Way) {
    for mut case in cases(way).await {
        let (reason, status) = (case.reason, case.status);
        case.request = as_grpc(case.request, "application/grpc");
        let response = case.response(way).await;
        assert_eq!(response.status(), StatusCode::OK, "{reason}");
        let headers = response.headers();
        assert_eq!(headers[header::CONTENT_TYPE], "application/grpc");
        let grpc_status = if status == 503 { "14" } else { "16" };
        assert_eq!(headers["grpc-status"], grpc_status, "{reason}");
        let why = Why::of(&response).unwrap();
        assert_eq!(why.reason, reason);
        // What the protocol has percent-encoded: `%` and all but printable ASCII.
        let message = headers["grpc-message"].to_str().unwrap();
        assert_eq!(message, why.description);
        assert!(
            message
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte) && byte != b'%')
        );
        let body = response.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none() && body.to_bytes().is_empty());
    }
}

async fn a_grpc_rejection_keeps_the_headers_of_the_http_one(way: Way) {
    const KEPT: [header::HeaderName; 4] = [
        header::WWW_AUTHENTICATE,
        header::CACHE_CONTROL,
        header::RETRY_AFTER,
        header::HeaderName::from_static("dpop-nonce"),
    ];
    for (http, mut grpc) in cases(way).await.into_iter().zip(cases(way).await) {
        let reason = http.reason;
        grpc.request = as_grpc(grpc.request, "application/grpc+proto");
        let (http, grpc) = (http.response(way).await, grpc.response(way).await);
        for name in KEPT {
            let values = |response: &Response<Body>| -> Vec<_> {
                let values = response.headers().get_all(&name).iter();
                values.cloned().collect()
            };
            assert_eq!(values(&http), values(&grpc), "{reason}: {name}");
        }
    }
}

async fn a_grpc_rejection_has_the_content_type_of_the_request_without_its_message_format(way: Way) {
    let api = way.api();
    for (requested, answered) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc+json", "application/grpc"),
        ("application/grpc;charset=x", "application/grpc"),
        ("Application/GRPC+Proto", "application/grpc"),
        ("application/grpc-web", "application/grpc-web"),
        ("application/grpc-web+proto", "application/grpc-web"),
        ("APPLICATION/GRPC-WEB+PROTO", "application/grpc-web"),
        ("application/grpc-web-text", "application/grpc-web-text"),
        (
            "application/grpc-web-text+proto",
            "application/grpc-web-text",
        ),
    ] {
        let request = as_grpc(plain(&[]), requested);
        let response = api.response(request).await;
        assert_eq!(response.status(), StatusCode::OK, "{requested}");
        assert_eq!(response.headers()["grpc-status"], "16", "{requested}");
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            answered,
            "{requested}"
        );
    }
}

async fn other_content_types_are_not_taken_for_grpc(way: Way) {
    let api = way.api();
    for other in [
        "application/json",
        "application/grp",
        "application/grpcx",
        "application/grpc-webx",
        "application/x-grpc",
        "text/plain; application/grpc",
        "",
    ] {
        let request = as_grpc(plain(&[]), other);
        let response = api.response(request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{other:?}");
        assert!(!response.headers().contains_key("grpc-status"), "{other:?}");
    }
}

async fn a_full_store_is_a_503_for_all_and_a_full_share_for_one(way: Way) {
    let size = |entries| NonZeroUsize::new(entries).unwrap();
    for (store, reason, others_are_served) in [
        (
            MemoryReplayStore::with_capacity(size(1)),
            "store_full",
            false,
        ),
        (
            MemoryReplayStore::with_capacity(size(9)).capacity_per_key(size(1)),
            "key_full",
            true,
        ),
        (
            MemoryReplayStore::with_capacity(size(9))
                .capacity_per_key(size(9))
                .capacity_per_subject(size(1)),
            "subject_full",
            true,
        ),
    ] {
        let api = way.api_with(|tokens| tokens, |config| config.replay_store(store));
        let token = api.token().mint();
        let get = || api.client.get(URL, &token);
        assert_eq!(api.send(get()).await, Verdict::Admitted);
        assert_eq!(api.send(get()).await, unavailable(reason));

        let other = TestClient::new().clock(api.clock.clone());
        let token = api.issuer.token().subject("bob").bound_to(&other).mint();
        let served = api.send(other.get(URL, &token)).await == Verdict::Admitted;
        assert_eq!(served, others_are_served, "{reason}");
    }
}

async fn an_outage_is_never_taken_for_a_verdict_on_a_bad_request(way: Way) {
    let api = outage(way, StoreError::full);
    let token = api.token().mint();
    let broken = api.proof(&token).corrupt_signature().sign();
    assert_eq!(
        api.get(&token, &broken).await,
        crate::support::invalid_proof("proof_signature_invalid")
    );
}

/// An optional route whose handler says what kind of token it got.
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

async fn an_optional_route_takes_unbound_tokens_as_bearer_and_bound_ones_with_a_proof(way: Way) {
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

async fn an_optional_route_rejects_what_is_sent_with_the_wrong_scheme(way: Way) {
    let (api, router) = optional(way);
    let bound = format!("Bearer {}", api.token().mint());
    let response = way
        .send(router.clone(), plain(&[("authorization", &bound)]))
        .await;
    assert_eq!(
        Verdict::of(response),
        invalid_token("token_bound_as_bearer")
    );
    // A proof beside it makes no difference.
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

async fn an_optional_route_offers_dpop_first_and_bearer_second(way: Way) {
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

async fn scheme_names_have_no_case_and_any_number_of_spaces_after_them(way: Way) {
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

async fn bearer_and_dpop_credentials_together_are_rejected(way: Way) {
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
        // Which of the two was meant is unclear, so both challenges say it (figure 19).
        for challenge in Challenge::all(response.headers()) {
            assert_eq!(challenge.get("error"), Some("invalid_request"));
        }
        assert_eq!(
            Verdict::of(response),
            invalid_request("credentials_multiple")
        );
    }
}

async fn no_rejection_speaks_to_proxies(way: Way) {
    for case in cases(way).await {
        let reason = case.reason;
        let response = case.response(way).await;
        for name in ["proxy-authenticate", "proxy-authentication-info"] {
            assert!(!response.headers().contains_key(name), "{reason}");
        }
    }
}

async fn the_challenge_lists_the_configured_algorithms_in_their_order(way: Way) {
    use dpop_tower::crypto::Algorithm;
    let api = way.api_with(
        |tokens| tokens,
        |config| config.algorithms([Algorithm::Ed25519, Algorithm::Es256]),
    );
    let response = send(api.router, plain(&[])).await;
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("algs"), Some("Ed25519 ES256"));
}
