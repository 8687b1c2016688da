//! The FAPI 2.0 Security Profile, final version of February 2025.

use std::time::Duration;

use dpop_conformance::crypto::signing_input;
use dpop_tower::{
    ConfigErrorKind, DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin,
    certificate::{CertificateThumbprint, ClientCertificate},
    clock::UnixTime,
    crypto::Algorithm,
    future::MaybeReady,
    revocation::{MemoryRevocationList, Revocation},
    token::{ClientSecret, DynamicIssuers, Introspection, IssuerSource, StatusLists, TokenError},
};
use serde_json::{Map, Value, json};

use super::{FAPI2, after, api, api_with, bound_to, not_met, with_scheme, with_token_in_query};
use crate::{
    robustness::crypto::{JoseKey, base64url, rsa},
    support::{Api, ORIGIN, URL, Verdict, invalid_proof, invalid_token, router},
};

const UNREVOKED: &str = "are not checked for revocation (5.3.4 item 3)";

fn insufficient_scope(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 403,
        error: "insufficient_scope",
        reason,
    }
}

fn introspection() -> Introspection {
    Introspection::new("https://issuer.test")
        .endpoint("https://issuer.test/introspect")
        .client_secret_basic("orders-api", ClientSecret::new("hush").unwrap())
        .audience(ORIGIN)
}

#[test]
fn a_configuration_with_a_revocation_list_meets_the_profile() {
    let list = MemoryRevocationList::new;
    let differs = |change: fn(dpop_tower::DpopConfigBuilder) -> dpop_tower::DpopConfigBuilder| {
        after(FAPI2, |config| change(config.revocation_list(list())))
    };
    assert!(differs(|config| config).is_empty());
    // What is stricter, or another choice within the profile.
    assert!(differs(|config| config.require_nonces().max_age(Duration::from_secs(5))).is_empty());
    assert!(differs(|config| config.algorithms([Algorithm::Es256])).is_empty());
}

#[test]
fn section_5_2_1_item_1_what_is_reached_without_tls_is_not_met() {
    let (_, config) = api_with(FAPI2, Issuer::danger_allow_plain_http, |config| config);
    let told = not_met(&config);
    assert!(
        told.contains(&"https://issuer.test may be reached without TLS (5.2.1 item 1)".to_owned()),
        "{told:?}"
    );
    let origin = PublicOrigin::new("https://api.test").unwrap();
    let origin = origin.with_alias("http://api.internal:8080").unwrap();
    let issuer = dpop_tower::test_util::TestIssuer::new().tokens();
    let told = not_met(DpopConfig::fapi2(origin, issuer).build().unwrap());
    assert_eq!(
        told[0],
        "http://api.internal:8080 is without TLS (5.2.1 item 1)"
    );
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn section_5_3_2_1_item_13_dates_up_to_10_seconds_ahead_are_accepted() {
    let api = api(FAPI2);
    let now = api.now();
    for (ahead, is_accepted) in [(0, true), (10, true), (11, false), (61, false)] {
        let token = api.token().mint();
        let proof = api.proof(&token).claim("iat", now + ahead).sign();
        let expected = match is_accepted {
            true => Verdict::Admitted,
            false => invalid_proof("proof_from_future"),
        };
        assert_eq!(api.get(&token, &proof).await, expected, "iat +{ahead}");

        for date in ["iat", "nbf"] {
            let token = api.token().claim(date, now + ahead).mint();
            let verdict = api.get(&token, &api.proof(&token).sign()).await;
            let is_admitted = verdict == Verdict::Admitted;
            assert_eq!(is_admitted, is_accepted, "{date} of a token +{ahead}");
        }
    }
}

#[test]
fn section_5_3_2_1_item_13_no_more_than_60_seconds_and_no_less_than_10_are_met() {
    let with = |leeway: u64| {
        let leeway = Duration::from_secs(leeway);
        let list = MemoryRevocationList::new();
        after(FAPI2, |config| {
            config.revocation_list(list).danger_leeway(leeway)
        })
    };
    for leeway in [10, 30, 60] {
        assert!(with(leeway).is_empty(), "{leeway}");
    }
    for leeway in [0, 9, 61, 300] {
        let told = format!("the `iat` of proofs may be {leeway} s ahead (5.3.2.1 item 13)");
        assert_eq!(with(leeway), [told]);
    }
    let (_, config) = api_with(
        FAPI2,
        |tokens| tokens.danger_leeway(Duration::from_secs(61)),
        |config| config.revocation_list(MemoryRevocationList::new()),
    );
    assert_eq!(
        not_met(&config),
        ["dates in tokens of https://issuer.test may be 61 s ahead (5.3.2.1 item 13)"]
    );
}

#[tokio::test]
async fn section_5_3_4_item_1_a_token_in_the_authorization_header_is_accepted() {
    let api = api(FAPI2);
    let token = api.token().mint();
    let request = api.client.get(URL, &token);
    assert_eq!(api.send(request).await, Verdict::Admitted);
}

#[tokio::test]
async fn section_5_3_4_item_2_a_token_in_the_query_is_not_accepted() {
    let api = api(FAPI2);
    let token = api.token().mint();
    let verdict = api.send(with_token_in_query(&api, &token)).await;
    let none = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    assert_eq!(verdict, none);
}

#[tokio::test]
async fn section_5_3_4_item_3_validity_integrity_expiration_and_revocation_are_verified() {
    let list = std::sync::Arc::new(MemoryRevocationList::new());
    let shared = std::sync::Arc::clone(&list);
    let (api, _) = api_with(FAPI2, |it| it, |config| config.revocation_list(shared));
    let present = async |token: String| api.get(&token, &api.proof(&token).sign()).await;
    let good = api.token().claim("jti", "t-1").mint();
    assert_eq!(present(good.clone()).await, Verdict::Admitted);
    let other = dpop_tower::test_util::TestIssuer::new();
    for (token, reason) in [
        (
            api.token().claim("aud", "https://other.test"),
            "token_audience_mismatch",
        ),
        (
            api.token().claim("iss", "https://other.test"),
            "token_issuer_mismatch",
        ),
        (api.token().signed_by(&other), "token_signature_invalid"),
        (api.token().expires_in(Duration::ZERO), "token_expired"),
    ] {
        assert_eq!(present(token.mint()).await, invalid_token(reason));
    }
    let until = UnixTime::from_secs(api.now() + 600);
    let revocation = Revocation::Token {
        issuer: "https://issuer.test",
        jti: "t-1",
    };
    list.revoke(revocation, until).unwrap();
    assert_eq!(present(good).await, invalid_token("token_revoked"));
}

#[test]
fn section_5_3_4_item_3_without_a_source_of_revocation_it_is_not_met() {
    let told = after(FAPI2, |config| config);
    assert_eq!(told, [format!("tokens of https://issuer.test {UNREVOKED}")]);
    let told = |tokens: Issuer| {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        not_met(DpopConfig::fapi2(origin, tokens).build().unwrap())
    };
    let tokens = dpop_tower::test_util::TestIssuer::new;
    let lists = StatusLists::at(["https://status.test"]);
    assert!(told(tokens().tokens().status_lists(lists)).is_empty());
    // The issuer is asked about the opaque ones only.
    assert_eq!(
        told(tokens().tokens().opaque_tokens(introspection())).len(),
        1
    );
    let only_opaque = Issuer::new("https://issuer.test").opaque_tokens(introspection());
    assert!(told(only_opaque).is_empty());
}

#[tokio::test]
async fn section_5_3_4_item_4_insufficient_authorization_is_403() {
    let policy = || {
        Policy::strict()
            .require_scope("payments")
            .require_authorization_details("payment", |_| true)
    };
    let (api, _) = api_with(FAPI2, |it| it, |config| config.policy(policy()));
    let details = json!([{"type": "payment"}]);
    for (scope, details, verdict) in [
        (
            "accounts",
            details.clone(),
            insufficient_scope("policy_scope_missing"),
        ),
        (
            "payments",
            json!([]),
            insufficient_scope("policy_claim_insufficient"),
        ),
        ("payments", details, Verdict::Admitted),
    ] {
        let token = api
            .token()
            .scope(scope)
            .claim("authorization_details", details);
        let token = token.mint();
        assert_eq!(api.get(&token, &api.proof(&token).sign()).await, verdict);
    }
}

#[tokio::test]
async fn section_5_3_4_item_5_only_bound_tokens_are_accepted() {
    let api = api(FAPI2);
    let unbound = api.issuer.token().mint();
    let verdict = api.get(&unbound, &api.proof(&unbound).sign()).await;
    assert_eq!(verdict, invalid_token("token_not_bound"));
    for token in [unbound, api.token().mint()] {
        let request = with_scheme(api.client.get(URL, &token), "Bearer", &token);
        let verdict = api.send(request).await;
        assert_eq!(verdict, invalid_token("token_scheme_not_accepted"));
    }
}

#[tokio::test]
async fn section_5_3_4_item_5_a_token_that_is_bound_to_a_certificate_is_within_the_profile() {
    let (api, config) = api_with(
        FAPI2,
        |it| it,
        |config| {
            config
                .policy(Policy::strict().accept_certificate_bound())
                .revocation_list(MemoryRevocationList::new())
        },
    );
    assert!(not_met(&config).is_empty());
    let certificate = ClientCertificate::from_der(b"a certificate".to_vec());
    let thumbprint: CertificateThumbprint = {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(b"a certificate");
        base64url(digest).parse().unwrap()
    };
    let token = api.issuer.token().bound_to_certificate(&thumbprint).mint();
    let request = || with_scheme(http::Request::new(()), "Bearer", &token);
    let layer = DpopLayer::new(config);
    let verifier = layer.verifier();
    for (certificate, is_admitted) in [(Some(&certificate), true), (None, false)] {
        let mut request = request();
        *request.uri_mut() = "/orders".parse().unwrap();
        let head = dpop_tower::RequestHead::new(request.method(), request.uri(), request.headers());
        let head = match certificate {
            Some(certificate) => head.client_certificate(certificate),
            None => head,
        };
        let verdict = verifier.verify_request(head).await;
        let admitted = matches!(verdict, dpop_tower::Verdict::Admitted(_));
        assert_eq!(admitted, is_admitted);
    }
}

#[test]
fn section_5_3_4_item_5_a_policy_that_admits_unbound_tokens_is_not_met() {
    let optional = "policy: unbound tokens are admitted (5.3.4 item 5)";
    let reported = "policy: nothing is rejected (5.3.4 item 5)";
    for (policy, told) in [
        (Policy::optional(), optional),
        (Policy::report_only(), reported),
    ] {
        let list = MemoryRevocationList::new();
        let change =
            |config: dpop_tower::DpopConfigBuilder| config.revocation_list(list).policy(policy);
        assert_eq!(after(FAPI2, change), [told]);
    }
}

#[tokio::test]
async fn section_5_4_1_item_1_1_jwts_of_another_kind_are_not_accepted() {
    // RFC 8725 sections 3.9 to 3.12.
    let api = api(FAPI2);
    let present = async |token: &str| api.get(token, &api.proof(token).sign()).await;
    let id_token = api.token().header("typ", "JWT").mint();
    assert_eq!(present(&id_token).await, invalid_token("token_typ_invalid"));
    let no_audience = api.token().without_claim("aud").mint();
    assert_eq!(
        present(&no_audience).await,
        invalid_token("token_missing_claim")
    );
    let token = api.token().mint();
    let proof = api.proof(&token).header("typ", "at+jwt").sign();
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_typ_invalid")
    );
}

#[tokio::test]
async fn section_5_4_1_item_1_2_proofs_have_one_of_the_algorithms_of_the_profile() {
    let api = api(FAPI2);
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Ed25519,
        Algorithm::EdDsa,
        Algorithm::Ps256,
        Algorithm::Rs256,
        Algorithm::Es384,
    ] {
        let (token, proof) = bound_to(&api, &JoseKey::new(algorithm));
        let expected = match algorithm {
            Algorithm::Rs256 | Algorithm::Es384 => invalid_proof("proof_alg_not_allowed"),
            _ => Verdict::Admitted,
        };
        assert_eq!(api.get(&token, &proof).await, expected, "{algorithm}");
    }
    let told = after(FAPI2, |config| config.algorithms(Algorithm::DEFAULT));
    assert!(
        told.contains(&"RS256 of proofs is not allowed (5.4.1 item 1.2)".to_owned()),
        "{told:?}"
    );
}

fn jwks(key: &JoseKey) -> String {
    json!({ "keys": [key.public()] }).to_string()
}

fn signed(api: &Api, key: &JoseKey) -> String {
    let header = json!({ "typ": "at+jwt", "alg": key.algorithm.as_str() });
    key.jws(&header.to_string(), &api.token().payload_json())
}

#[tokio::test]
async fn section_5_4_1_item_1_2_tokens_have_one_of_the_algorithms_of_the_profile() {
    let with_keys = |key: &JoseKey| {
        let keys = jwks(key);
        let own = |_| {
            Issuer::new("https://issuer.test")
                .jwks(keys)
                .audience(ORIGIN)
        };
        api_with(FAPI2, own, |config| config).0
    };
    let ps256 = JoseKey::new(Algorithm::Ps256);
    let api = with_keys(&ps256);
    let token = signed(&api, &ps256);
    assert_eq!(
        api.get(&token, &api.proof(&token).sign()).await,
        Verdict::Admitted
    );
    let rs256 = JoseKey::new(Algorithm::Rs256);
    let api = with_keys(&rs256);
    let token = signed(&api, &rs256);
    let verdict = api.get(&token, &api.proof(&token).sign()).await;
    assert_eq!(verdict, invalid_token("token_alg_not_allowed"));
}

#[derive(Debug)]
struct Tenants(String);

impl IssuerSource for Tenants {
    fn issuer(&self, iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
        let issuer = Issuer::new(iss).jwks(self.0.clone()).audience(ORIGIN);
        MaybeReady::ready(Ok(Some(issuer)))
    }
}

#[tokio::test]
async fn section_5_4_1_item_1_2_tokens_of_issuers_that_are_looked_up_do_as_well() {
    for (algorithm, verdict) in [
        (Algorithm::Ps256, Verdict::Admitted),
        (Algorithm::Rs256, invalid_token("token_alg_not_allowed")),
    ] {
        let key = JoseKey::new(algorithm);
        let mut api = api(FAPI2);
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::fapi2(origin, DynamicIssuers::new(Tenants(jwks(&key))));
        api.router = router(config.clock(api.clock.clone()).build().unwrap());
        let token = signed(&api, &key);
        assert_eq!(api.get(&token, &api.proof(&token).sign()).await, verdict);
    }
}

#[test]
fn section_5_4_1_item_1_2_an_issuer_without_such_an_algorithm_is_an_error() {
    let origin = || PublicOrigin::new(ORIGIN).unwrap();
    let issuer = || dpop_tower::test_util::TestIssuer::new().tokens();
    let rs256 = [Algorithm::Rs256, Algorithm::Es512];
    let signed = introspection().signed_responses().algorithms(rs256);
    for config in [
        DpopConfig::fapi2(origin(), issuer().algorithms(rs256)),
        DpopConfig::fapi2(origin(), signed),
    ] {
        let error = config.build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Algorithms);
        assert_eq!(error.issuer(), Some("https://issuer.test"));
        let text = "the profile (FAPI 2.0 Security Profile) allows none of the algorithms";
        assert!(error.to_string().contains(text), "{error}");
    }
    let some = issuer().algorithms([Algorithm::Rs256, Algorithm::Es256]);
    let config = DpopConfig::fapi2(origin(), some).build().unwrap();
    let text = config.to_string();
    let algorithms = text.lines().find(|line| line.starts_with("  algorithms"));
    assert!(algorithms.unwrap().ends_with(" ES256"), "{text}");
}

#[tokio::test]
async fn section_5_4_1_item_1_3_none_is_no_algorithm() {
    let api = api(FAPI2);
    let token = api.token().mint();
    let proof = api.proof(&token).header("alg", "none").empty_signature();
    let verdict = api.get(&token, &proof.sign()).await;
    assert_eq!(verdict, invalid_proof("proof_alg_not_allowed"));
    let token = api.token().header("alg", "none").empty_signature().mint();
    let verdict = api.get(&token, &api.proof(&token).sign()).await;
    assert_eq!(verdict, invalid_token("token_alg_not_allowed"));
}

/// Presents a proof with this public key and a signature that nobody has made.
async fn present_key(api: &Api, algorithm: &str, jwk: Map<String, Value>) -> Verdict {
    let token = api.token().mint();
    let header = json!({ "typ": "dpop+jwt", "alg": algorithm, "jwk": jwk });
    let input = signing_input(&header.to_string(), &api.proof(&token).payload_json());
    api.get(&token, &format!("{input}.{}", base64url([1; 128])))
        .await
}

#[tokio::test]
async fn section_5_4_1_item_2_an_rsa_key_has_2048_bits_or_more() {
    let api = api(FAPI2);
    for bits in [1024, 2040] {
        let key = JoseKey::from_private(Algorithm::Ps256, rsa(bits));
        let verdict = present_key(&api, "PS256", key.public()).await;
        assert_eq!(verdict, invalid_proof("proof_key_invalid"), "{bits}");
    }
}

#[tokio::test]
async fn section_5_4_1_item_3_no_curve_is_smaller_than_p_256() {
    let api = api(FAPI2);
    for curve in ["P-192", "P-224", "secp160r1"] {
        let mut jwk = JoseKey::new(Algorithm::Es256).public();
        jwk.insert("crv".to_owned(), curve.into());
        let verdict = present_key(&api, "ES256", jwk).await;
        assert_eq!(verdict, invalid_proof("proof_key_invalid"), "{curve}");
    }
}

#[tokio::test]
async fn section_5_4_3_keys_with_the_same_kid_are_told_apart() {
    let keys = [Algorithm::Ps256, Algorithm::Es256, Algorithm::Ed25519].map(JoseKey::new);
    let published = keys.each_ref().map(|key| {
        let mut jwk = key.public();
        jwk.insert("kid".to_owned(), "1".into());
        jwk
    });
    let jwks = json!({ "keys": published }).to_string();
    let own = |_| {
        Issuer::new("https://issuer.test")
            .jwks(jwks)
            .audience(ORIGIN)
    };
    let (api, _) = api_with(FAPI2, own, |config| config);
    for key in &keys {
        let header = json!({ "typ": "at+jwt", "alg": key.algorithm.as_str(), "kid": "1" });
        let token = key.jws(&header.to_string(), &api.token().payload_json());
        assert_eq!(
            api.get(&token, &api.proof(&token).sign()).await,
            Verdict::Admitted
        );
    }
}
