//! The OAuth profile of the AT Protocol.

use std::time::Duration;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PolicyTable, RequestHead, Verdict as Outcome,
    certificate::{CertificateThumbprint, ClientCertificate},
    crypto::Algorithm,
    nonce::{NonceContext, NonceSource, NonceStatus, StatelessNonces},
};
use http::{HeaderMap, Method};

use super::{ATPROTO, Preset, after, api, api_with, with_scheme};
use crate::support::{Api, URL, Verdict, invalid_proof, invalid_token, nonces, send};

const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

fn insufficient(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 403,
        error: "insufficient_scope",
        reason,
    }
}

/// Returns the nonce for the API's next proof.
async fn nonce(api: &Api) -> String {
    let mut request = http::Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    let response = api.response(request).await;
    response.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned()
}

fn session(api: &Api) -> dpop_tower::test_util::TokenBuilder {
    api.token().subject(DID).scope("atproto transition:generic")
}

async fn present(api: &Api, token: &str) -> Verdict {
    let nonce = nonce(api).await;
    api.get(token, &api.proof(token).nonce(&nonce).sign()).await
}

#[test]
fn the_preset_meets_the_profile_and_so_does_what_is_stricter() {
    assert!(after(ATPROTO, |config| config).is_empty());
    let stricter = |config: DpopConfigBuilder| {
        (config.max_age(Duration::from_secs(5))).algorithms([Algorithm::Es256])
    };
    assert!(after(ATPROTO, stricter).is_empty());
}

#[tokio::test]
async fn identity_authentication_the_subject_is_a_did() {
    let api = api(ATPROTO);
    let present = async |token: String| present(&api, &token).await;
    assert_eq!(present(session(&api).mint()).await, Verdict::Admitted);
    for subject in ["alice", "alice.test", "did:plc", "https://alice.test"] {
        let verdict = present(session(&api).subject(subject).mint()).await;
        assert_eq!(
            verdict,
            insufficient("policy_claim_insufficient"),
            "{subject}"
        );
    }
    let verdict = present(session(&api).without_claim("sub").mint()).await;
    assert_eq!(verdict, insufficient("policy_claim_insufficient"));
}

#[tokio::test]
async fn authorization_scopes_there_is_no_access_without_the_scope_atproto() {
    let api = api(ATPROTO);
    let token = session(&api).scope("transition:generic").mint();
    let verdict = present(&api, &token).await;
    assert_eq!(verdict, insufficient("policy_scope_missing"));
}

#[tokio::test]
async fn authorization_scopes_the_requirement_is_part_of_every_policy() {
    let table = PolicyTable::builder()
        .route("/orders", Policy::strict())
        .route("/open", Policy::off())
        .otherwise(Policy::strict().require_scope("other"))
        .build()
        .unwrap();
    let plain = Policy::strict();
    let (api, config) = api_with(ATPROTO, |it| it, |config| config.policy(Policy::strict()));
    let by_table = DpopLayer::new(config.clone()).with_policy(table).verifier();
    let layers = DpopLayer::new(config.clone()).verifier();
    let token = session(&api).scope("transition:generic").mint();
    let outcome = async |verifier: &dpop_tower::Verifier, policy: Option<&Policy>, path: &str| {
        let nonce = nonce(&api).await;
        let url = format!("https://api.test{path}");
        let proof = api
            .client
            .proof("GET", &url)
            .access_token(&token)
            .nonce(&nonce)
            .sign();
        let request = api
            .client
            .request_with_proof(Method::GET, &url, &token, &proof);
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        match policy {
            Some(policy) => verifier.verify(head, policy).await,
            None => verifier.verify_request(head).await,
        }
    };
    for (verifier, policy, path) in [
        (&by_table, None, "/orders"),
        // Several policies apply to this reading.
        (&by_table, None, "/Orders/"),
        (&by_table, None, "/else"),
        (&layers, Some(&plain), "/orders"),
    ] {
        let Outcome::Rejected(rejection) = outcome(verifier, policy, path).await else {
            panic!("admitted {path}");
        };
        assert_eq!(rejection.reason(), "policy_scope_missing", "{path}");
    }
    let open = outcome(&by_table, None, "/open").await;
    assert!(matches!(open, Outcome::Admitted(_)));
}

#[tokio::test]
async fn tokens_binding_a_token_without_a_key_is_rejected() {
    let certificate = ClientCertificate::from_der(b"a certificate".to_vec());
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"a certificate");
    let thumbprint: CertificateThumbprint = crate::robustness::crypto::base64url(digest)
        .parse()
        .unwrap();
    let accepting = Policy::strict().accept_certificate_bound();
    let (api, config) = api_with(ATPROTO, |it| it, |config| config.policy(accepting));
    let verifier = DpopLayer::new(config).verifier();
    let unbound = api.issuer.token().subject(DID).scope("atproto");
    for (token, reason) in [
        (unbound.clone().mint(), "token_scheme_not_accepted"),
        (
            unbound.bound_to_certificate(&thumbprint).mint(),
            "token_scheme_not_accepted",
        ),
    ] {
        let request = with_scheme(http::Request::new(()), "Bearer", &token);
        let uri = "/orders".parse().unwrap();
        let head = RequestHead::new(&Method::GET, &uri, request.headers());
        let head = head.client_certificate(&certificate);
        let Outcome::Rejected(rejection) = verifier.verify_request(head).await else {
            panic!("admitted a token without a key");
        };
        assert_eq!(rejection.reason(), reason);
    }
}

#[tokio::test]
async fn dpop_required_of_every_request_with_authorization() {
    let api = api(ATPROTO);
    let token = session(&api).mint();
    let request = with_scheme(api.client.get(URL, &token), "Bearer", &token);
    let verdict = api.send(request).await;
    assert_eq!(verdict, invalid_token("token_scheme_not_accepted"));
    for (policy, what) in [
        (Policy::optional(), "unbound tokens are admitted"),
        (Policy::report_only(), "nothing is rejected"),
    ] {
        let told = after(ATPROTO, |config| config.policy(policy));
        assert_eq!(told, [format!("policy: {what} (DPoP: required)")]);
    }
}

#[tokio::test]
async fn dpop_nonces_are_mandatory() {
    let api = api(ATPROTO);
    let token = session(&api).mint();
    for (proof, reason) in [
        (api.proof(&token), "proof_nonce_missing"),
        (api.proof(&token).nonce("guessed"), "proof_nonce_unknown"),
    ] {
        let challenged = Verdict::Rejected {
            status: 401,
            error: "use_dpop_nonce",
            reason,
        };
        assert_eq!(api.get(&token, &proof.sign()).await, challenged);
    }
}

#[tokio::test]
async fn dpop_nonce_lifetime_is_five_minutes_at_most() {
    let api = api(ATPROTO);
    let token = session(&api).expires_in(Duration::from_secs(3600)).mint();
    let nonce = nonce(&api).await;
    api.advance(301);
    let proof = api.proof(&token).nonce(&nonce).sign();
    let expired = Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason: "proof_nonce_unknown",
    };
    assert_eq!(api.get(&token, &proof).await, expired);
}

/// Nonces whose lifetime is not known.
#[derive(Debug)]
struct Timeless(StatelessNonces);

impl NonceSource for Timeless {
    fn current(&self, context: &NonceContext<'_>) -> String {
        self.0.current(context)
    }

    fn check(&self, nonce: &str, context: &NonceContext<'_>) -> NonceStatus {
        self.0.check(nonce, context)
    }
}

#[test]
fn dpop_nonce_lifetime_that_is_longer_or_unknown_is_not_met() {
    let period = |seconds| nonces().period(Duration::from_secs(seconds));
    let met = |nonces| after(ATPROTO, |config| config.nonce_source(nonces));
    assert!(met(period(150)).is_empty());
    let told = "nonces live for up to 302 s (DPoP: nonce lifetime)";
    assert_eq!(met(period(151)), [told]);
    let told = after(ATPROTO, |config| config.nonce_source(Timeless(nonces())));
    assert_eq!(
        told,
        ["nonces have no known lifetime (DPoP: nonce lifetime)"]
    );
}

#[tokio::test]
async fn dpop_stale_nonces_are_accepted_for_another_period() {
    let api = api(ATPROTO);
    let token = session(&api).mint();
    let nonce = nonce(&api).await;
    api.advance(120);
    let proof = api.proof(&token).nonce(&nonce).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
}

#[tokio::test]
async fn dpop_nonce_in_responses_of_every_kind() {
    let table = PolicyTable::builder()
        .route("/open", Policy::off())
        .route("/closed", Policy::deny())
        .build()
        .unwrap();
    let (mut api, config) = api_with(ATPROTO, |it| it, |config| config);
    let layer = DpopLayer::new(config).with_policy(table);
    let ok = || axum::routing::get(async || "ok");
    api.router = axum::Router::new()
        .route("/orders", ok())
        .route("/open", ok())
        .layer(layer);
    let token = session(&api).mint();
    let has_nonce = |headers: &HeaderMap| headers.contains_key("dpop-nonce");
    let mut current = String::new();
    for (path, status) in [
        ("/orders", 401),
        ("/orders", 200),
        ("/orders", 200),
        ("/open", 200),
        ("/closed", 403),
    ] {
        let url = format!("https://api.test{path}");
        let proof = api
            .client
            .proof("GET", &url)
            .access_token(&token)
            .nonce(&current)
            .sign();
        let request = api
            .client
            .request_with_proof(Method::GET, &url, &token, &proof);
        let response = send(api.router.clone(), request).await;
        assert_eq!(response.status(), status, "{path}");
        assert!(has_nonce(response.headers()), "{path} {status}");
        current = response.headers()["dpop-nonce"]
            .to_str()
            .unwrap()
            .to_owned();
    }
}

#[tokio::test]
async fn dpop_jti_is_accepted_once() {
    let api = api(ATPROTO);
    let token = session(&api).mint();
    let nonce = nonce(&api).await;
    let proof = api.proof(&token).nonce(&nonce).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    let again = api.get(&token, &proof).await;
    assert_eq!(again, invalid_proof("proof_replayed"));
    let told = after(ATPROTO, |config| {
        config.danger_allow_reuse_within_lifetime()
    });
    assert_eq!(told, ["proofs may be used again (DPoP: jti)"]);
}

#[tokio::test]
async fn dpop_es256_is_supported() {
    let api = api(ATPROTO);
    let token = session(&api).mint();
    let proof = api.proof(&token).header_json();
    assert!(proof.contains("\"ES256\""), "{proof}");
    assert_eq!(present(&api, &token).await, Verdict::Admitted);
    let told = after(ATPROTO, |config| config.algorithms([Algorithm::Ed25519]));
    assert_eq!(told, ["ES256 of proofs is not allowed (DPoP: ES256)"]);
}

#[test]
fn server_metadata_is_configured_or_not_met() {
    assert!(after(ATPROTO, |config| config).is_empty());
    let plain: Preset = |origin, issuer| DpopConfig::atproto(origin, issuer);
    let not_met = after(plain, |config| config);
    assert_eq!(not_met, ["the resource has no metadata (Server Metadata)"]);
}
