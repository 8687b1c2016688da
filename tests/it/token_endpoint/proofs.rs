//! What is checked of a proof without an access token, and what the client is told.

use dpop_tower::{DpopLayer, Policy, crypto::Algorithm, test_util::TestIssuer};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::support::send;

#[tokio::test]
async fn rfc_9449_section_5_a_proof_without_an_access_token_yields_the_key_to_bind_to() {
    let idp = Idp::new();
    let request = verify(&idp.verifier(), &[&idp.proof().sign()]).unwrap();
    let thumbprint = idp.client.thumbprint();
    assert_eq!(request.thumbprint(), Some(&thumbprint));
    assert!(request.public_jwk().is_some());
    let binding = request.redeem("alice").await.unwrap();
    assert_eq!(binding.thumbprint(), Some(&thumbprint));
    assert_eq!(binding.token_type(), "DPoP");
    assert_eq!(
        binding.cnf(),
        Some(json!({ "jkt": thumbprint.to_string() }))
    );
}

#[test]
fn rfc_9449_section_4_3_every_check_but_that_of_the_access_token_applies() {
    let idp = Idp::new();
    let verifier = idp.verifier();
    let proof = || idp.proof();
    for (wrong, reason) in [
        (idp.client.proof("GET", TOKEN), "proof_htm_mismatch"),
        (
            idp.client.proof("POST", "https://idp.example.com/par"),
            "proof_htu_mismatch",
        ),
        (
            idp.client.proof("POST", "https://other.example.com/token"),
            "proof_htu_mismatch",
        ),
        (proof().header("typ", "JWT"), "proof_typ_invalid"),
        (proof().header("alg", "none"), "proof_alg_not_allowed"),
        (proof().without_claim("jti"), "proof_missing_claim"),
        (proof().claim("iat", 1), "proof_too_old"),
        (
            proof().signed_by(&TestClient::new()),
            "proof_signature_invalid",
        ),
    ] {
        let rejected = (reason, "invalid_dpop_proof");
        assert_eq!(why(verify(&verifier, &[&wrong.sign()])), rejected);
    }
    let invalid = |reason| (reason, "invalid_dpop_proof");
    assert_eq!(why(verify(&verifier, &[])), invalid("proof_missing"));
    let (one, two) = (proof().sign(), proof().sign());
    let both = verify(&verifier, &[&one, &two]);
    assert_eq!(why(both), invalid("proof_multiple"));
    // Some clients send the hash of an old token. There is nothing to compare it with.
    assert_eq!(
        why(verify(&verifier, &[&proof().access_token("t").sign()])),
        OK
    );
}

#[test]
fn rfc_6749_section_5_2_a_rejection_is_a_json_object_and_no_challenge() {
    let idp = Idp::new();
    let rejection = verify(&idp.verifier(), &["e30.e30.AA"]).unwrap_err();
    let response = rejection.into_response();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!headers.contains_key("www-authenticate"));
    assert!(!headers.contains_key("dpop-nonce"));
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["error"], "invalid_dpop_proof");
    assert!(body["error_description"].is_string());
    let rejection = response.extensions().get::<TokenRequestRejection>();
    assert_eq!(rejection.unwrap().kind().status(), 401);
}

#[tokio::test]
async fn rfc_9449_section_8_a_nonce_is_asked_for_with_400_and_the_header() {
    let idp = Idp::new();
    let verifier = Verifier::new(idp.config().require_nonces().build().unwrap());
    let rejection = verify(&verifier, &[&idp.proof().sign()]).unwrap_err();
    assert_eq!(rejection.reason(), "proof_nonce_missing");
    let response = rejection.into_response();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(!response.headers().contains_key("www-authenticate"));
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(body["error"], "use_dpop_nonce");
    let nonce = response.headers()["dpop-nonce"].to_str().unwrap();

    let unknown = verify(&verifier, &[&idp.proof().nonce("unknown").sign()]);
    assert_eq!(why(unknown), ("proof_nonce_unknown", "use_dpop_nonce"));
    let request = verify(&verifier, &[&idp.proof().nonce(nonce).sign()]).unwrap();
    assert!(request.response_headers().is_empty());
    let _ = request.redeem("alice").await.unwrap();

    // A nonce that is about to retire is followed by the next one.
    idp.clock.advance(std::time::Duration::from_secs(70));
    let mut next = None;
    for _ in 0..30 {
        idp.clock.advance(std::time::Duration::from_secs(10));
        let request = verify(&verifier, &[&idp.proof().nonce(nonce).sign()]).unwrap();
        next = request.response_headers().get("dpop-nonce").cloned();
        if next.is_some() {
            break;
        }
    }
    assert_ne!(next.unwrap(), nonce);
}

#[test]
fn a_missing_proof_is_told_the_nonce_with_its_first_error() {
    let idp = Idp::new();
    let verifier = Verifier::new(idp.config().require_nonces().build().unwrap());
    let rejection = verify(&verifier, &[]).unwrap_err();
    assert_eq!(rejection.error_code(), "invalid_dpop_proof");
    assert!(rejection.headers().contains_key("dpop-nonce"));
}

#[tokio::test]
async fn an_optional_proof_may_be_missing_but_not_wrong() {
    let idp = Idp::new();
    let verifier = idp.optional();
    let request = verify(&verifier, &[]).unwrap();
    assert_eq!(request.thumbprint(), None);
    let binding = request.redeem("alice").await.unwrap();
    assert_eq!((binding.token_type(), binding.cnf()), ("Bearer", None));
    assert_eq!(binding.thumbprint(), None);
    // `dpop_bound_access_tokens` of RFC 9449 section 5.2.
    let missing = ("proof_missing", "invalid_dpop_proof");
    assert_eq!(why(request.require_proof()), missing);

    let wrong = verify(&verifier, &[&idp.proof().claim("iat", 1).sign()]);
    assert_eq!(why(wrong), ("proof_too_old", "invalid_dpop_proof"));
    let good = verify(&verifier, &[&idp.proof().sign()]).unwrap();
    assert_eq!(why(good.require_proof()), OK);
    assert_eq!(good.redeem("alice").await.unwrap().token_type(), "DPoP");
}

#[tokio::test]
async fn a_policy_that_only_reports_binds_to_good_proofs_and_rejects_nothing() {
    let idp = Idp::new();
    let verifier = idp.verifier().with_policy(Policy::report_only());
    let wrong = verify(&verifier, &[&idp.proof().claim("iat", 1).sign()]).unwrap();
    assert_eq!(wrong.redeem("alice").await.unwrap().token_type(), "Bearer");
    let proof = idp.proof().sign();
    for token_type in ["DPoP", "Bearer"] {
        let request = verify(&verifier, &[&proof]).unwrap();
        let binding = request.redeem("alice").await.unwrap();
        assert_eq!(binding.token_type(), token_type);
    }
    // What a grant is bound to is not up to the policy.
    let mismatch = wrong.check_refresh_token(Some(&idp.client.thumbprint()));
    assert_eq!(why(mismatch).1, "invalid_grant");
}

#[tokio::test]
async fn a_policy_that_is_off_binds_to_nothing_and_one_that_denies_rejects_everything() {
    let idp = Idp::new();
    let off = idp.verifier().with_policy(Policy::off());
    let request = verify(&off, &[&idp.proof().sign()]).unwrap();
    let binding = request.redeem("alice").await.unwrap();
    assert_eq!(binding.token_type(), "Bearer");
    let denied = idp.verifier().with_policy(Policy::deny());
    let rejection = verify(&denied, &[&idp.proof().sign()]).unwrap_err();
    assert_eq!(rejection.error_code(), "unauthorized_client");
    assert_eq!(rejection.status(), 400);
}

#[test]
fn what_a_policy_asks_of_proofs_applies() {
    let idp = Idp::new();
    let only_ed25519 = Policy::strict()
        .proof_algorithms([Algorithm::Ed25519])
        .build()
        .unwrap();
    let verifier = idp.verifier().with_policy(only_ed25519);
    let rejected = ("proof_alg_not_allowed", "invalid_dpop_proof");
    assert_eq!(why(verify(&verifier, &[&idp.proof().sign()])), rejected);
}

#[tokio::test]
async fn a_layer_with_the_configuration_of_an_authorization_server_accepts_no_token() {
    let idp = Idp::new();
    let config = idp.config().build().unwrap();
    assert!(config.to_string().contains("none is accepted"), "{config}");
    let router = axum::Router::new()
        .route("/userinfo", axum::routing::get(|| async {}))
        .layer(DpopLayer::new(config));
    let issuer = TestIssuer::new().issuer(ORIGIN).audience(ORIGIN);
    let token = issuer.token().bound_to(&idp.client).mint();
    let request: Request<()> = idp.client.get("https://idp.example.com/userinfo", &token);
    assert_eq!(send(router, request).await.status(), 401);
}
