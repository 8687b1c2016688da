//! Challenges and responses, and tokens and proofs alone.

use std::time::Duration;

use dpop_cli::inspect::{self, Options};
use dpop_tower::test_util::TestIssuer;
use serde_json::json;

use super::{NOW, Parties, URL, failed, report};

#[test]
fn a_challenge_is_explained_by_its_error() {
    for (challenge, reason, clause) in [
        (
            "DPoP error=\"use_dpop_nonce\", error_description=\"a nonce is needed\"",
            "use_dpop_nonce",
            "RFC 9449 section 8",
        ),
        (
            "DPoP error=invalid_token",
            "invalid_token",
            "RFC 9449 section 7.1",
        ),
        (
            "Bearer realm=\"a, b\", DPoP error=\"invalid_dpop_proof\", algs=\"ES256\"",
            "invalid_dpop_proof",
            "RFC 9449 section 7.1",
        ),
        (
            "DPoP error=\"insufficient_scope\", scope=\"orders:write\", algs=\"ES256\"",
            "insufficient_scope",
            "RFC 6750 section 3.1",
        ),
        (
            "Bearer error=\"insufficient_user_authentication\", acr_values=\"high\"",
            "insufficient_user_authentication",
            "RFC 9470 section 3",
        ),
        (
            "DPoP error=\"invalid_request\"",
            "invalid_request",
            "RFC 9449 section 7.1",
        ),
        (
            "DPoP algs=\"ES256 PS256\"",
            "challenge",
            "RFC 9449 section 7.1",
        ),
        (
            "DPoP error=\"of_its_own\"",
            "rejected_by_server",
            "RFC 9449 section 7.1",
        ),
    ] {
        for input in [
            challenge.to_owned(),
            format!("WWW-Authenticate: {challenge}"),
            format!("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: {challenge}\r\n\r\n"),
        ] {
            let report = report(&input, &Options::default());
            assert_eq!(report.reason(), Some(reason), "{input}");
            assert_eq!(report.clause(), Some(clause), "{input}");
            assert!(report.is_rejected_by_server());
            let check = &report.items()[0].checks()[0];
            assert_eq!(check.fix().is_some(), reason != "rejected_by_server");
        }
    }
}

#[test]
fn the_metadata_that_a_challenge_names_is_explained() {
    let url = "https://api.test/.well-known/oauth-protected-resource/mcp";
    let challenge = format!("DPoP algs=\"ES256\", resource_metadata=\"{url}\"");
    let text = report(&challenge, &Options::default()).to_text(false);
    let note = format!("the metadata at {url} names the authorization servers");
    assert!(text.contains(&note), "{text}");
    let text = report("DPoP algs=\"ES256\"", &Options::default()).to_text(false);
    assert!(!text.contains("RFC 9728"), "{text}");
}

#[test]
fn the_description_of_this_library_names_the_check() {
    let challenge = "DPoP error=\"invalid_dpop_proof\", error_description=\"the proof is for another URI\", \
                     algs=\"ES256\"";
    let report = report(challenge, &Options::default());
    assert_eq!(
        failed(&report.items()[0]),
        ["invalid_dpop_proof", "proof_htu_mismatch"]
    );
}

#[test]
fn a_response_tells_its_nonce_and_its_clock() {
    let response = "HTTP/1.1 401 Unauthorized\r\n\
                    Date: Fri, 15 Jan 2027 08:05:00 GMT\r\n\
                    DPoP-Nonce: n-0S6\r\n\
                    WWW-Authenticate: DPoP error=\"use_dpop_nonce\", algs=\"ES256\"\r\n\r\n";
    let report = report(response, &Options::default());
    let notes = report.items()[0].notes().join("\n");
    assert!(notes.contains("needs the nonce \"n-0S6\""), "{notes}");
    assert!(
        notes.contains("Date is 300 s (about 5 min) ahead"),
        "{notes}"
    );
}

#[test]
fn the_error_of_a_token_endpoint_is_in_the_body() {
    let response = "HTTP/1.1 400 Bad Request\nDPoP-Nonce: n-0S6\nContent-Type: application/json\n\n\
                    {\"error\":\"use_dpop_nonce\"}";
    assert_eq!(
        report(response, &Options::default()).reason(),
        Some("use_dpop_nonce")
    );
    for (response, reason) in [
        ("HTTP/1.1 200 OK\n\n{\"error\":\"none\"}", None),
        ("HTTP/1.1 401 Unauthorized\n\n", Some("challenge")),
        (
            "HTTP/1.1 503 Service Unavailable\nRetry-After: 5\n\n",
            Some("server_unavailable"),
        ),
    ] {
        assert_eq!(report(response, &Options::default()).reason(), reason);
    }
}

#[test]
fn a_proof_alone_is_compared_with_the_options() {
    let parties = Parties::new();
    let token = parties.token();
    let proof = parties
        .client
        .proof("GET", URL)
        .access_token(&token)
        .nonce("n-0S6")
        .sign();
    let given = Options {
        url: Some(format!("{URL}?page=2")),
        method: Some("GET".to_owned()),
        token: Some(token),
        nonce: Some("n-0S6".to_owned()),
        ..parties.options()
    };
    for input in [
        proof.clone(),
        format!("DPoP: {proof}\r\n"),
        proof.replace('.', ".\n  "),
    ] {
        let report = report(&input, &given);
        assert_eq!(report.input(), "proof");
        assert_eq!(report.reason(), None);
        assert!(report.not_checked().is_empty());
    }
    let alone = report(&proof, &Options::default());
    assert_eq!(alone.reason(), None);
    assert_eq!(alone.not_checked().len(), 4);
    for (options, reason) in [
        (
            Options {
                method: Some("POST".to_owned()),
                ..given.clone()
            },
            "proof_htm_mismatch",
        ),
        (
            Options {
                url: Some("https://api.test/".to_owned()),
                ..given.clone()
            },
            "proof_htu_mismatch",
        ),
        (
            Options {
                nonce: Some("newer".to_owned()),
                ..given.clone()
            },
            "proof_nonce_unknown",
        ),
        (
            Options {
                token: Some("a.b".to_owned()),
                keys: None,
                ..given.clone()
            },
            "proof_ath_mismatch",
        ),
    ] {
        assert_eq!(report(&proof, &options).reason(), Some(reason));
    }
}

#[test]
fn a_token_alone_is_verified_as_the_layer_does() {
    let parties = Parties::new();
    let token = |secs| {
        let token = parties
            .issuer
            .token()
            .subject("alice")
            .bound_to(&parties.client);
        token.expires_in(Duration::from_secs(secs))
    };
    let options = parties.options();
    for (token, reason) in [
        (token(300).mint(), None),
        (token(0).mint(), Some("token_expired")),
        (
            token(300).signed_by(&TestIssuer::new()).mint(),
            Some("token_signature_invalid"),
        ),
        (
            token(300).claim("iss", "https://other.test").mint(),
            Some("token_issuer_mismatch"),
        ),
        (
            token(300).claim("aud", "https://other.test").mint(),
            Some("token_audience_mismatch"),
        ),
        (
            token(300).without_claim("cnf").mint(),
            Some("token_not_bound"),
        ),
        (
            token(300).header("typ", "JWT").mint(),
            Some("token_typ_invalid"),
        ),
        (
            token(300).header("alg", "none").mint(),
            Some("token_alg_not_allowed"),
        ),
    ] {
        let report = report(&token, &options);
        assert_eq!(report.input(), "access token");
        assert_eq!(report.reason(), reason);
        assert_eq!(report.clause().is_some(), reason.is_some());
    }
    let jwt = token(300).header("typ", "JWT").mint();
    let lenient = Options {
        accept_typ_jwt: true,
        ..options
    };
    assert_eq!(report(&jwt, &lenient).reason(), None);
    // The response of a token endpoint.
    let response = format!("{{\"access_token\":\"{jwt}\",\"token_type\":\"DPoP\"}}");
    assert_eq!(report(response, &lenient).reason(), None);
}

#[test]
fn claims_that_may_be_personal_are_shown_only_on_demand() {
    let parties = Parties::new();
    let token = parties.token();
    let shown = |all_claims| {
        let options = Options {
            all_claims,
            ..parties.options()
        };
        report(&token, &options).to_json().to_string()
    };
    assert!(!shown(false).contains("alice"));
    assert!(shown(true).contains("alice"));
    // Nothing that could be used instead of the token is shown.
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown(true).contains(signature));
}

#[test]
fn a_private_key_in_a_proof_is_not_shown() {
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "d": "s3cret"});
    let proof = Parties::new()
        .client
        .proof("GET", URL)
        .header("jwk", key)
        .sign();
    let report = report(&proof, &Options::default());
    assert_eq!(report.reason(), Some("proof_key_invalid"));
    let told = report.to_json().to_string() + &report.to_text(false);
    assert!(
        told.contains("(hidden)") && !told.contains("s3cret"),
        "{told}"
    );
}

#[test]
fn nothing_of_the_input_controls_the_terminal() {
    let challenge = "DPoP error=\"\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{2066}\", algs=\"ES256\"";
    let text = report(challenge, &Options::default()).to_text(false);
    let is_bad = |char: char| char.is_control() || ('\u{202a}'..='\u{2069}').contains(&char);
    assert!(!text.replace('\n', "").contains(is_bad), "{text:?}");
    assert!(text.contains("\\u{1b}[2J\\u{7f}"), "{text}");
}

#[test]
fn what_cannot_be_inspected_is_an_error_that_says_nothing_of_the_input() {
    for input in [
        "",
        "  \n",
        "s3cret hello",
        "s3cret",
        "DPoP s3cret",
        "Cookie: s3cret",
        "curl 's3cret",
        "curl -H 'DPoP: s3cret'",
        "GET /s3cret HTTP/1.1\r\nno-colon\r\n\r\n",
        "HTTP/1.1 s3cret\r\n\r\n",
        "\u{e9}s3cret",
    ] {
        let error = inspect::inspect(input.as_bytes(), &Options::default(), NOW).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let long = vec![b'a'; inspect::MAX_INPUT_LEN + 1];
    let error = inspect::inspect(&long, &Options::default(), NOW).unwrap_err();
    assert!(error.to_string().contains("16 MiB"), "{error}");
}
