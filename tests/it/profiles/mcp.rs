//! The authorization specification of MCP, revision 2026-07-28, and SEP-1932.
//!
//! Tests of SEP-1932 have the names of the checks in the conformance suite of MCP.

use std::time::Duration;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, Issuer, Policy, PublicOrigin,
    metadata::ResourceMetadata,
    token::{ClientSecret, Introspection},
};
use http::{Method, Response, header};

use super::{MCP, Preset, after, api, api_with, not_met, with_scheme, with_token_in_query};
use crate::{
    rejection::challenge::Challenge,
    support::{Api, ORIGIN, URL, Verdict, invalid_proof, invalid_request, invalid_token, nonces},
};

const NO_CREDENTIALS: Verdict = Verdict::Rejected {
    status: 401,
    error: "",
    reason: "credentials_missing",
};

fn challenge<B>(response: &Response<B>) -> Challenge {
    let value = &response.headers()[header::WWW_AUTHENTICATE];
    Challenge::parse(value.to_str().unwrap()).unwrap()
}

fn without_credentials() -> http::Request<()> {
    let mut request = http::Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    request
}

async fn present(api: &Api, token: &str) -> Verdict {
    api.get(token, &api.proof(token).sign()).await
}

#[test]
fn the_preset_meets_the_profile_and_so_does_what_is_stricter() {
    assert!(after(MCP, |config| config).is_empty());
    let strict = after(MCP, |config| {
        (config.require_nonces().leeway(Duration::from_secs(5))).max_age(Duration::from_secs(10))
    });
    assert!(strict.is_empty());
    // Whether unbound tokens are admitted is left to servers.
    assert!(after(MCP, |config| config.policy(Policy::optional())).is_empty());
}

#[tokio::test]
async fn overview_item_4_the_challenge_names_the_metadata_and_without_it_it_is_not_met() {
    let response = api(MCP).response(without_credentials()).await;
    let url = "https://api.test/.well-known/oauth-protected-resource";
    assert_eq!(challenge(&response).get("resource_metadata"), Some(url));
    let plain: Preset = |origin, issuer| DpopConfig::mcp(origin, issuer);
    let not_met = after(plain, |config| config);
    assert_eq!(not_met, ["the resource has no metadata (Overview item 4)"]);
}

#[tokio::test]
async fn sep_1932_server_prm_dpop() {
    for (policy, is_required) in [(Policy::strict(), true), (Policy::optional(), false)] {
        let (_, config) = api_with(MCP, |it| it, |config| config.policy(policy));
        let document = crate::metadata::document(&config).await;
        let algorithms = &document["dpop_signing_alg_values_supported"];
        assert_eq!(algorithms[0], "ES256", "{document}");
        let required = &document["dpop_bound_access_tokens_required"];
        assert_eq!(required.as_bool().unwrap_or(false), is_required);
    }
}

#[tokio::test]
async fn scope_selection_strategy_the_challenge_names_the_scopes() {
    let policy = Policy::strict()
        .require_scope("files:read")
        .require_scope("tools");
    let (api, _) = api_with(MCP, |it| it, |config| config.policy(policy));
    let response = api.response(without_credentials()).await;
    assert_eq!(response.status(), 401);
    assert_eq!(challenge(&response).get("scope"), Some("files:read tools"));
}

#[tokio::test]
async fn token_requirements_item_1_every_request_needs_a_token() {
    let api = api(MCP);
    let token = api.token().mint();
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
    assert_eq!(api.send(without_credentials()).await, NO_CREDENTIALS);
}

#[tokio::test]
async fn token_requirements_item_2_a_token_in_the_query_is_none() {
    let api = api(MCP);
    let token = api.token().mint();
    let request = with_token_in_query(&api, &token);
    assert_eq!(api.send(request).await, NO_CREDENTIALS);
}

#[tokio::test]
async fn token_handling_tokens_of_others_and_expired_ones_are_401() {
    let api = api(MCP);
    for (token, reason) in [
        (
            api.token().claim("aud", "https://other.test"),
            "token_audience_mismatch",
        ),
        (api.token().without_claim("aud"), "token_missing_claim"),
        (
            api.token().claim("iss", "https://other.test"),
            "token_issuer_mismatch",
        ),
        (api.token().expires_in(Duration::ZERO), "token_expired"),
        (api.token().corrupt_signature(), "token_signature_invalid"),
    ] {
        assert_eq!(present(&api, &token.mint()).await, invalid_token(reason));
    }
}

#[tokio::test]
async fn error_handling_401_403_and_400() {
    let policy = Policy::strict().require_scope("tools");
    let (api, _) = api_with(MCP, |it| it, |config| config.policy(policy));
    let narrow = present(&api, &api.token().scope("files").mint()).await;
    let insufficient = Verdict::Rejected {
        status: 403,
        error: "insufficient_scope",
        reason: "policy_scope_missing",
    };
    assert_eq!(narrow, insufficient);
    assert_eq!(api.send(without_credentials()).await, NO_CREDENTIALS);
    let token = api.token().scope("tools").mint();
    let mut request = api.client.get(URL, &token);
    let credentials = request.headers()[header::AUTHORIZATION].clone();
    request
        .headers_mut()
        .append(header::AUTHORIZATION, credentials);
    let malformed = invalid_request("credentials_multiple");
    assert_eq!(api.send(request).await, malformed);
}

#[tokio::test]
async fn scope_challenge_handling_403_names_all_scopes_at_once() {
    let policy = Policy::strict()
        .require_scope("files:read")
        .require_scope("tools");
    let (api, _) = api_with(MCP, |it| it, |config| config.policy(policy));
    let token = api.token().scope("files:read").mint();
    let response = api.response(api.client.get(URL, &token)).await;
    assert_eq!(response.status(), 403);
    let challenge = challenge(&response);
    assert_eq!(challenge.get("error"), Some("insufficient_scope"));
    assert_eq!(challenge.get("scope"), Some("files:read tools"));
    let url = "https://api.test/.well-known/oauth-protected-resource";
    assert_eq!(challenge.get("resource_metadata"), Some(url));
}

#[test]
fn communication_security_an_issuer_without_tls_is_not_met() {
    let (_, config) = api_with(MCP, Issuer::danger_allow_plain_http, |config| config);
    let told = "https://issuer.test may be reached without TLS (Communication Security)";
    assert_eq!(not_met(&config), [told]);
}

#[tokio::test]
async fn sep_1932_server_advertises_dpop() {
    let api = api(MCP);
    let response = api.response(without_credentials()).await;
    assert_eq!(response.status(), 401);
    let challenge = challenge(&response);
    assert_eq!(challenge.scheme, "DPoP");
    let algs = challenge.get("algs").unwrap();
    assert!(algs.split(' ').any(|alg| alg == "ES256"), "{algs}");
}

#[tokio::test]
async fn sep_1932_server_validate_proof() {
    let api = api(MCP);
    let token = api.token().mint();
    let good = || api.proof(&token);
    assert_eq!(api.get(&token, &good().sign()).await, Verdict::Admitted);
    for (proof, reason) in [
        (good().without_claim("jti"), "proof_missing_claim"),
        (good().header("typ", "JWT"), "proof_typ_invalid"),
        (good().corrupt_signature(), "proof_signature_invalid"),
        (good().claim("htm", "POST"), "proof_htm_mismatch"),
        (
            good().claim("htu", "https://api.test/other"),
            "proof_htu_mismatch",
        ),
        (good().access_token("another"), "proof_ath_mismatch"),
    ] {
        let verdict = api.get(&token, &proof.sign()).await;
        assert_eq!(verdict, invalid_proof(reason));
    }
    let stranger = dpop_tower::test_util::TestClient::new().clock(api.clock.clone());
    let proof = stranger.proof("GET", URL).access_token(&token).sign();
    let verdict = api.get(&token, &proof).await;
    assert_eq!(verdict, invalid_token("token_binding_mismatch"));
    let request = with_scheme(api.client.get(URL, &token), "Bearer", &token);
    let verdict = api.send(request).await;
    assert_eq!(verdict, invalid_token("token_scheme_not_accepted"));
}

#[tokio::test]
async fn sep_1932_server_iat_window() {
    let api = api(MCP);
    let token = api.token().mint();
    for (offset, expected) in [
        (-301, invalid_proof("proof_too_old")),
        (-71, invalid_proof("proof_too_old")),
        (-70, Verdict::Admitted),
        (10, Verdict::Admitted),
        (11, invalid_proof("proof_from_future")),
        (301, invalid_proof("proof_from_future")),
    ] {
        let proof = api.proof(&token).claim("iat", api.now() + offset).sign();
        assert_eq!(api.get(&token, &proof).await, expected, "{offset}");
    }
}

#[test]
fn sep_1932_server_iat_window_of_more_than_five_minutes_is_not_met() {
    let with = |max_age: u64, leeway: u64| {
        let [max_age, leeway] = [max_age, leeway].map(Duration::from_secs);
        after(MCP, |config| config.max_age(max_age).danger_leeway(leeway))
    };
    assert!(with(290, 10).is_empty());
    let old = "an `iat` may be 301 s old (sep-1932-server-iat-window)";
    assert_eq!(with(291, 10), [old]);
    let ahead = "an `iat` may be 301 s ahead (sep-1932-server-iat-window)";
    assert!(with(1, 301).contains(&ahead.to_owned()));
    let told = after(MCP, |config| {
        config.nonce_source(nonces()).accept_nonce_for_iat()
    });
    let not_compared =
        "with a nonce, `iat` is not compared with the time (sep-1932-server-iat-window)";
    assert_eq!(told, [not_compared]);
}

#[tokio::test]
async fn sep_1932_server_reject_401() {
    let api = api(MCP);
    let token = api.token().mint();
    let mut two = api.client.get(URL, &token);
    let proof = two.headers()["dpop"].clone();
    two.headers_mut().append("dpop", proof);
    let mut none = api.client.get(URL, &token);
    none.headers_mut().remove("dpop");
    let malformed = (api.client).request_with_proof(Method::GET, URL, &token, "not-a-jwt");
    for request in [two, none, malformed] {
        let response = api.response(request).await;
        assert_eq!(response.status(), 401);
        let error = challenge(&response).get("error").map(str::to_owned);
        assert_eq!(error.as_deref(), Some("invalid_dpop_proof"));
    }
    let told = after(MCP, |config| config.policy(Policy::report_only()));
    assert_eq!(
        told,
        ["policy: nothing is rejected (sep-1932-server-reject-401)"]
    );
}

#[tokio::test]
async fn sep_1932_asymmetric_alg_only() {
    let api = api(MCP);
    let token = api.token().mint();
    for algorithm in ["none", "HS256", "HS512"] {
        let proof = api.proof(&token).header("alg", algorithm).sign();
        let verdict = api.get(&token, &proof).await;
        assert_eq!(
            verdict,
            invalid_proof("proof_alg_not_allowed"),
            "{algorithm}"
        );
    }
}

#[tokio::test]
async fn sep_1932_server_audience_validation() {
    let api = api(MCP);
    for audience in [
        "https://other.test",
        "https://api.test.evil.test",
        "api.test",
    ] {
        let token = api.token().claim("aud", audience).mint();
        let verdict = present(&api, &token).await;
        assert_eq!(verdict, invalid_token("token_audience_mismatch"));
    }
    let introspection = Introspection::new("https://issuer.test")
        .endpoint("https://issuer.test/introspect")
        .client_secret_basic("mcp", ClientSecret::new("hush").unwrap())
        .audience(ORIGIN)
        .danger_accept_missing_audience();
    let tokens = Issuer::new("https://issuer.test").opaque_tokens(introspection);
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let told = not_met(
        DpopConfig::mcp(origin, tokens)
            .resource_metadata(ResourceMetadata::new())
            .build()
            .unwrap(),
    );
    let needs_none = "opaque tokens of https://issuer.test need no audience \
                      (sep-1932-server-audience-validation)";
    assert_eq!(told, [needs_none]);
}

#[tokio::test]
async fn replay_detection_without_state_each_jti_is_accepted_once() {
    let api = api(MCP);
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    let again = api.get(&token, &proof).await;
    assert_eq!(again, invalid_proof("proof_replayed"));
    let told = after(MCP, DpopConfigBuilder::danger_allow_reuse_within_lifetime);
    assert_eq!(
        told,
        ["proofs may be used again (Replay Detection Without State)"]
    );
}
