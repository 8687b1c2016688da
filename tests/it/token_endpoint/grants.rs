//! What a grant is bound to: `dpop_jkt`, refresh tokens of public clients, and pushed authorization requests.

use dpop_tower::jwk::Thumbprint;

use super::*;

const CODE: (&str, &str) = ("grant_code_key_mismatch", "invalid_grant");

const REFRESH: (&str, &str) = ("grant_refresh_token_key_mismatch", "invalid_grant");

#[test]
fn rfc_9449_section_10_a_code_is_good_with_the_key_of_dpop_jkt_only() {
    let idp = Idp::new();
    let (own, other) = (idp.client.thumbprint(), TestClient::new().thumbprint());
    let request = verify(&idp.optional(), &[&idp.proof().sign()]).unwrap();
    assert_eq!(why(request.check_code(Some(&own))), OK);
    assert_eq!(why(request.check_code(Some(&other))), CODE);
    assert_eq!(why(request.check_code(None)), OK);
    let rejection = request.check_code(Some(&other)).unwrap_err();
    assert_eq!(rejection.status(), 400);
    assert!(rejection.body().contains("\"error\":\"invalid_grant\""));
}

#[test]
fn rfc_9449_section_10_a_code_with_dpop_jkt_is_no_good_without_a_proof() {
    let idp = Idp::new();
    let request = verify(&idp.optional(), &[]).unwrap();
    assert_eq!(
        why(request.check_code(Some(&idp.client.thumbprint()))),
        CODE
    );
    assert_eq!(why(request.check_code(None)), OK);
}

#[test]
fn rfc_9449_section_5_a_refresh_token_of_a_public_client_is_bound_to_its_key() {
    let idp = Idp::new();
    let (own, other) = (idp.client.thumbprint(), TestClient::new().thumbprint());
    let verifier = idp.optional();
    let with = |key: Option<&Thumbprint>| {
        let request = verify(&verifier, &[&idp.proof().sign()]).unwrap();
        why(request.check_refresh_token(key))
    };
    assert_eq!(with(Some(&own)), OK);
    assert_eq!(with(Some(&other)), REFRESH);
    // That of a confidential client is not bound to a key.
    assert_eq!(with(None), OK);
    let without = verify(&verifier, &[]).unwrap();
    assert_eq!(why(without.check_refresh_token(Some(&own))), REFRESH);
}

#[test]
fn rfc_9449_section_10_1_a_pushed_request_binds_the_code_by_its_proof_or_its_parameter() {
    let idp = Idp::new();
    let own = idp.client.thumbprint();
    let verifier = idp.optional();
    let par = "https://idp.example.com/par";
    let pushed = |proof: Option<&TestClient>| {
        let (uri, mut sent) = (Uri::from_static("/par"), HeaderMap::new());
        if let Some(client) = proof {
            sent = headers(&[&client.proof("POST", par).sign()]);
        }
        verifier.verify_token_request(RequestHead::new(&Method::POST, &uri, &sent))
    };
    let jkt = own.to_string();
    for (client, parameter, bound_to) in [
        (Some(&idp.client), None, Some(own)),
        (Some(&idp.client), Some(&*jkt), Some(own)),
        (None, Some(&*jkt), Some(own)),
        (None, None, None),
    ] {
        let request = pushed(client).unwrap();
        assert_eq!(request.pushed_dpop_jkt(parameter).unwrap(), bound_to);
    }
    let other = TestClient::new().clock(idp.clock.clone());
    let mismatch = pushed(Some(&other)).unwrap().pushed_dpop_jkt(Some(&jkt));
    let reason = ("grant_dpop_jkt_mismatch", "invalid_request");
    assert_eq!(why(mismatch), reason);
    for malformed in ["", "x", &jkt[1..], &format!("{jkt}=")] {
        let rejected = pushed(None).unwrap().pushed_dpop_jkt(Some(malformed));
        let reason = ("grant_dpop_jkt_malformed", "invalid_request");
        assert_eq!(why(rejected), reason, "{malformed}");
    }
}
