//! Section 7.1: what a rejected client is told, over HTTP and gRPC.

mod grpc;
mod schemes;

use std::{num::NonZeroUsize, sync::Arc};

use axum::{Router, body::Body};
use dpop_tower::{
    DpopConfig, PublicOrigin,
    certificate::CertificateThumbprint,
    clock::UnixTime,
    future::MaybeReady,
    replay::{MemoryReplayStore, StoreError},
    test_util::TestClient,
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use serde_json::json;

use self::{grpc::*, schemes::*};
use crate::{
    challenge::Challenge,
    stores::Outage,
    support::{Api, ORIGIN, URL, Verdict, Way, Why, nonces, send, unavailable},
};

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
            api.token().claim("cnf", json!({"kid": "x"})).mint(),
        ),
        (
            "token_certificate_missing",
            api.token()
                .bound_to_certificate(&CertificateThumbprint::from_bytes([7; 32]))
                .mint(),
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
