//! Bugs that others had, as requests: docs/known-bugs.md says where each was found.

use super::case::{Case, JoseClient};
use crate::{
    challenge::Challenge,
    crypto::{JoseKey, base64url, hmac_jws},
    stores::CountingStore,
    support::{ORIGIN, Over, URL, Verdict, Way, Why, invalid_proof, invalid_token, unavailable},
};
use axum::{Router, body::to_bytes, routing::get};
use dpop_tower::{
    BoundToken, Issuer,
    crypto::Algorithm,
    nonce::{NonceSecret, StatelessNonces},
    replay::MemoryReplayStore,
    test_util::TestClient,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use josekit::jwk::{Jwk, alg::rsa::RsaKeyPair};
use percent_encoding::percent_decode;
use serde_json::{Value, json};
use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

cases! { rfc9449::known_bugs as known_bugs;
each_way [
    no_flood_of_proofs_makes_an_earlier_one_pass_again,
    a_proof_from_the_future_is_known_to_its_last_second,
    the_length_that_counts_is_that_of_the_proof,
    a_jti_is_a_name_and_nothing_else,
    strangers_all_get_the_same_nonce,
    jkt_has_one_spelling,
    what_comes_before_a_fragment_is_the_resource,
    bytes_that_are_not_printable_are_no_part_of_htu,
    no_spelling_of_a_forwarded_header_moves_the_target,
    what_connection_names_counts_all_the_same,
    a_header_of_almost_the_right_name_is_none,
    a_public_key_in_pem_is_no_hmac_secret,
    nothing_is_decrypted,
    a_token_that_has_ended_is_never_kept,
    no_claim_becomes_a_header_and_no_header_a_claim,
    by_default_both_names_of_ed25519_are_advertised,
]
}

/// CVE-2026-41707 and others: a store that makes room by forgetting lets old proofs in again.
async fn no_flood_of_proofs_makes_an_earlier_one_pass_again(way: Way) {
    const CAPACITY: usize = 20;
    let size = NonZeroUsize::new(CAPACITY).unwrap();
    for keys in [1, 3 * CAPACITY] {
        let store = MemoryReplayStore::with_capacity(size).capacity_per_key(size);
        let api = way.api_with(|tokens| tokens, |config| config.replay_store(store));
        let clients: Vec<_> = (0..keys)
            .map(|_| TestClient::new().clock(api.clock.clone()))
            .collect();
        let mut accepted = Vec::new();
        // From the first second to the last in which the first proofs are acceptable.
        for pause in [0, 35, 35] {
            api.advance(pause);
            for i in 0..3 * CAPACITY {
                let client = &clients[i % keys];
                let token = api.issuer.token().subject("bob").bound_to(client).mint();
                let proof = client.proof("GET", URL).access_token(&token).sign();
                match api.get(&token, &proof).await {
                    Verdict::Admitted => accepted.push((token, proof)),
                    rejected => assert_eq!(rejected, unavailable("store_full")),
                }
            }
            assert_eq!(accepted.len(), CAPACITY, "{keys} keys");
            for (token, proof) in &accepted {
                let verdict = api.get(token, proof).await;
                assert_eq!(verdict, invalid_proof("proof_replayed"), "{keys} keys");
            }
        }
    }
}

/// A memory that counts from the arrival of a proof forgets it while its `iat` is still good.
async fn a_proof_from_the_future_is_known_to_its_last_second(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let proof = api.proof(&token).claim("iat", api.now() + 10).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    for second in 1..=80 {
        api.advance(1);
        // What comes in is what makes a store clean up.
        let other = api.proof(&token).sign();
        assert_eq!(api.get(&token, &other).await, Verdict::Admitted);
        let verdict = api.get(&token, &proof).await;
        assert_eq!(verdict, invalid_proof("proof_replayed"), "{second} s");
    }
    api.advance(1);
    let verdict = api.get(&token, &proof).await;
    assert_eq!(verdict, invalid_proof("proof_too_old"));
}

/// A limit on one header must not be read from another.
async fn the_length_that_counts_is_that_of_the_proof(way: Way) {
    let api = way.api();
    let long = "z".repeat(9 * 1024);
    let token = api.token().claim("z", long.as_str()).mint();
    assert!(token.len() > 12 * 1024);
    let proof = api.proof(&token).claim("z", long.as_str()).sign();
    assert!(proof.len() > 12 * 1024);
    let mut request = api
        .client
        .request_with_proof(Method::GET, URL, &token, &proof);
    let cookie = HeaderValue::from_str(&"z".repeat(20 * 1024)).unwrap();
    request.headers_mut().insert(header::COOKIE, cookie);
    assert_eq!(
        api.send(request).await,
        Verdict::Admitted,
        "each is short enough"
    );

    let token = api.token().mint();
    let longer = "z".repeat(12 * 1024);
    let proof = api.proof(&token).claim("z", longer).sign();
    assert!(proof.len() > 16 * 1024);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_too_long"),
        "whatever the length of the token"
    );
}

/// A `jti` that is put into a command, a path or a pattern becomes one.
async fn a_jti_is_a_name_and_nothing_else(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let jtis = [
        "a",
        "A",
        "a ",
        " a",
        "a\0",
        "a\0b",
        "a\n",
        "a\r\nDEL a\r\n",
        "a\r\nFLUSHALL\r\n",
        "*",
        "a*",
        "?",
        "[a-z]",
        ".*",
        "a:b",
        "a/b",
        "../a",
        "/dev/null",
        "' OR '1'='1",
        "a'; DROP TABLE jti; --",
        "${jndi:ldap://evil.test/a}",
        "{{7*7}}",
        "%61",
        "\\u0061",
        "\u{e4}",
        // The same letter in two normalisations.
        "a\u{308}",
        "1",
        "01",
        "1.0",
        "null",
    ];
    let proofs: Vec<_> = jtis
        .iter()
        .map(|jti| api.proof(&token).claim("jti", *jti).sign())
        .collect();
    for (jti, proof) in jtis.iter().zip(&proofs) {
        assert_eq!(api.get(&token, proof).await, Verdict::Admitted, "{jti:?}");
    }
    for (jti, proof) in jtis.iter().zip(&proofs) {
        let verdict = api.get(&token, proof).await;
        assert_eq!(verdict, invalid_proof("proof_replayed"), "{jti:?}");
    }
}

/// A nonce that is made and kept for whoever asks fills the memory of the server.
async fn strangers_all_get_the_same_nonce(way: Way) {
    let store = Arc::new(CountingStore::default());
    let nonces = StatelessNonces::new(NonceSecret::new([1; 32]).unwrap());
    let api = way.api_with(
        |tokens| tokens,
        |config| {
            config
                .nonce_source(nonces)
                .require_nonces()
                .replay_store(Arc::clone(&store))
        },
    );
    let mut seen = BTreeSet::new();
    for i in 0..50 {
        let stranger = TestClient::new().clock(api.clock.clone());
        let token = format!("token-{i}");
        let mut request = stranger.get(URL, &token);
        if i % 2 == 0 {
            request.headers_mut().remove(header::AUTHORIZATION);
        }
        let response = api.response(request).await;
        assert_ne!(response.status(), 200);
        let nonce = response.headers()["dpop-nonce"].to_str().unwrap();
        seen.insert(nonce.to_owned());
    }
    assert_eq!(seen.len(), 1, "a nonce is a matter of time, not of state");
    assert_eq!((store.asked(), store.store.len()), (0, 0));
}

/// A thumbprint is compared as 32 bytes, which have one spelling.
async fn jkt_has_one_spelling(way: Way) {
    let api = way.api();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // One that shows the difference between the two alphabets.
    let (client, jkt) = (0..1000)
        .map(|_| TestClient::new().clock(api.clock.clone()))
        .map(|client| (client.thumbprint().to_string(), client))
        .find_map(|(jkt, client)| jkt.contains(['-', '_']).then_some((client, jkt)))
        .unwrap();
    let standard = jkt.replace('-', "+").replace('_', "/");
    let last = alphabet.find(&jkt[42..]).unwrap();
    let loose = format!("{}{}", &jkt[..42], &alphabet[last + 1..][..1]);
    let bytes = crate::crypto::from_base64url(&jkt);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let urn = format!("urn:ietf:params:oauth:jwk-thumbprint:sha-256:{jkt}");
    let present = async |jkt: &str| {
        let token = api.issuer.token().subject("bob");
        let token = token.claim("cnf", json!({ "jkt": jkt })).mint();
        let proof = client.proof("GET", URL).access_token(&token).sign();
        api.get(&token, &proof).await
    };
    let invalid = invalid_token("token_confirmation_invalid");
    for (what, spelling) in [
        ("padded", format!("{jkt}=")),
        ("the standard alphabet", standard.clone()),
        ("the standard alphabet, padded", format!("{standard}=")),
        ("a loose end", loose),
        ("a space before", format!(" {jkt}")),
        ("a space behind", format!("{jkt} ")),
        ("a new line", format!("{jkt}\n")),
        ("a byte of zero", format!("{jkt}\0")),
        ("hex", hex.clone()),
        ("hex in upper case", hex.to_uppercase()),
        ("base64url of hex", base64url(hex)),
        ("a URN", urn),
        ("less", jkt[..42].to_owned()),
        ("twice", format!("{jkt}{jkt}")),
    ] {
        assert_eq!(present(&spelling).await, invalid, "{what}");
    }
    // In another case it is another key's, if it is one at all.
    for other in [jkt.to_lowercase(), jkt.to_uppercase()] {
        let verdict = present(&other).await;
        let mismatch = invalid_token("token_binding_mismatch");
        assert!([invalid, mismatch].contains(&verdict), "{verdict:?}");
    }
    assert_eq!(present(&jkt).await, Verdict::Admitted);
}

/// GHSA-fvhj-4qfh-q2hm: two readers of a URL that disagree where it ends.
async fn what_comes_before_a_fragment_is_the_resource(way: Way) {
    let case = Case::new(way);
    let (mismatch, invalid) = ("proof_htu_mismatch", "proof_htu_invalid");
    for (htu, reason) in [
        ("https://api.test/#/orders", mismatch),
        ("https://api.test#/orders", mismatch),
        ("https://api.test/other#/orders", mismatch),
        ("https://api.test/other#/../orders", mismatch),
        ("https://api.test/other?#/orders", mismatch),
        ("https://api.test/other?/../orders", mismatch),
        ("https://api.test/orders%23", mismatch),
        ("https://api.test/orders%23#", mismatch),
        ("https://api.test/orders%3F", mismatch),
        ("https://evil.test#@api.test/orders", mismatch),
        ("https://evil.test?@api.test/orders", mismatch),
        ("https://evil.test/#https://api.test/orders", mismatch),
        ("https://evil.test/@api.test/orders", mismatch),
        ("https://evil.test\\@api.test/orders", invalid),
        ("#https://api.test/orders", invalid),
        ("?https://api.test/orders", invalid),
    ] {
        let proof = case.proof().claim("htu", htu).sign();
        case.reject(htu, &proof, reason).await;
    }
    // The other way round: a request for a resource whose name goes on.
    for path in ["/orders%23", "/orders%23/x", "/orders%3F", "/orders%2523"] {
        let mut request = case.api.client.get(URL, &case.token);
        *request.uri_mut() = path.parse().unwrap();
        let verdict = case.api.send(request).await;
        assert_eq!(verdict, invalid_proof(mismatch), "{path}");
    }
    case.finish().await;
}

async fn bytes_that_are_not_printable_are_no_part_of_htu(way: Way) {
    let case = Case::new(way);
    let characters = (0..=0x20).chain(0x7f..=0xff).map(char::from);
    for character in characters.chain(['\u{212a}', '\u{2024}', '\u{ff0f}', '\u{feff}']) {
        for htu in [
            format!("{URL}{character}"),
            format!("https://api.test/{character}orders"),
            format!("https://api{character}.test/orders"),
            format!("https://api.test{character}/orders"),
            format!("https{character}://api.test/orders"),
            format!("{character}{URL}"),
        ] {
            let proof = case.proof().claim("htu", htu.as_str()).sign();
            let what = htu.escape_default().to_string();
            case.reject(&what, &proof, "proof_htu_invalid").await;
        }
    }
    case.finish().await;
}

fn with_headers(mut request: Request<()>, headers: &[(&str, &[u8])]) -> Request<()> {
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

/// CVE-2026-40575, CVE-2026-88011 and others: headers that only a proxy should write, in spellings
/// that a proxy does not take off.
async fn no_spelling_of_a_forwarded_header_moves_the_target(way: Way) {
    let case = Case::new(way);
    let long = b"evil.test,".repeat(2000);
    let forged: &[(&str, &[u8])] = &[
        ("x-forwarded-host", b"evil.test"),
        ("x_forwarded_host", b"evil.test"),
        ("x.forwarded.host", b"evil.test"),
        ("x-forwarded_host", b"evil.test"),
        ("x-forwarded-host.", b"evil.test"),
        ("x-forwarded-host_", b"evil.test"),
        ("x-forwarded-host", b"evil.test, api.test"),
        ("x-forwarded-host", b""),
        ("x-forwarded-host", b",,,"),
        ("x-forwarded-host", b"\xff\xfe"),
        ("x-forwarded-host", &long),
        ("x-forwarded-server", b"evil.test"),
        ("x-forwarded-proto", b"http"),
        ("x_forwarded_proto", b"http"),
        ("x-forwarded-scheme", b"http"),
        ("x-forwarded-protocol", b"http"),
        ("x-forwarded-ssl", b"off"),
        ("x-forwarded-port", b"8080"),
        ("x-forwarded-prefix", b"/other"),
        ("x-forwarded-path", b"/other"),
        ("x-forwarded-uri", b"/other"),
        ("x_forwarded_uri", b"/other"),
        ("x-forwarded-uri", b"https://evil.test/orders"),
        ("x-forwarded-for", b"127.0.0.1"),
        ("x-real-ip", b"127.0.0.1"),
        ("x-original-uri", b"/other"),
        ("x-original-url", b"/other"),
        ("x-rewrite-url", b"/other"),
        ("x-envoy-original-path", b"/other"),
        ("x-script-name", b"/other"),
        ("x-http-host-override", b"evil.test"),
        ("front-end-https", b"off"),
        ("forwarded", b"host=evil.test;proto=http;for=127.0.0.1"),
        ("forwarded", b"for=\"[::1;host=evil.test"),
        ("forwarded", b"host=\"evil.test"),
        ("forwarded", b";;;===,,,\"\\"),
        ("via", b"1.1 evil.test"),
    ];
    let alone = forged.iter().map(std::slice::from_ref);
    for headers in alone.chain([forged]) {
        for (htu, expected) in [
            (URL, Verdict::Admitted),
            (
                "https://evil.test/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "http://api.test/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "https://api.test:8080/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "https://api.test/other",
                invalid_proof("proof_htu_mismatch"),
            ),
            (
                "https://api.test/other/orders",
                invalid_proof("proof_htu_mismatch"),
            ),
        ] {
            let proof = case.proof().claim("htu", htu).sign();
            let client = &case.api.client;
            let request = client.request_with_proof(Method::GET, URL, &case.token, &proof);
            let verdict = case.api.send(with_headers(request, headers)).await;
            assert_eq!(verdict, expected, "{htu} with {headers:?}");
        }
    }
    // And the method is the one of the request.
    for name in [
        "x-http-method-override",
        "x-method-override",
        "x-forwarded-method",
        "x_http_method_override",
    ] {
        for (htm, expected) in [
            ("GET", Verdict::Admitted),
            ("POST", invalid_proof("proof_htm_mismatch")),
        ] {
            let proof = case.proof().claim("htm", htm).sign();
            let client = &case.api.client;
            let request = client.request_with_proof(Method::GET, URL, &case.token, &proof);
            let request = with_headers(request, &[(name, b"POST")]);
            assert_eq!(case.api.send(request).await, expected, "{name}: {htm}");
        }
    }
}

/// CVE-2024-45410: `Connection` names the headers of one hop, and took off those that count.
async fn what_connection_names_counts_all_the_same(way: Way) {
    let case = Case::new(way);
    for connection in [
        "dpop",
        "DPoP, Authorization",
        "authorization",
        "x-forwarded-host, host",
        "close, dpop",
        "keep-alive, dpop, authorization, dpop-nonce",
    ] {
        let named: &[(&str, &[u8])] = &[("connection", connection.as_bytes())];
        let good = case.api.client.get(URL, &case.token);
        let verdict = case.api.send(with_headers(good, named)).await;
        assert_eq!(verdict, Verdict::Admitted, "{connection}");

        // A header that was named there is still one of two.
        let twice = case.api.client.get(URL, &case.token);
        let another = case.proof().sign();
        let twice = with_headers(twice, &[("dpop", another.as_bytes())]);
        let verdict = case.api.send(with_headers(twice, named)).await;
        assert_eq!(verdict, invalid_proof("proof_multiple"), "{connection}");

        let mut without = case.api.client.get(URL, &case.token);
        without.headers_mut().remove("dpop");
        let verdict = case.api.send(with_headers(without, named)).await;
        assert_eq!(verdict, invalid_proof("proof_missing"), "{connection}");
    }
}

/// CVE-2026-88011: what one server takes for an underscore is a hyphen for another.
async fn a_header_of_almost_the_right_name_is_none(way: Way) {
    let case = Case::new(way);
    let missing = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    for (right, reason, others) in [
        (
            "dpop",
            invalid_proof("proof_missing"),
            &[
                "dpop_",
                "dpop.",
                "dpop-",
                "_dpop",
                "d-pop",
                "d_pop",
                "x-dpop",
                "http_dpop",
                "dpop-proof",
                "dpop_proof",
                "dpop-token",
                "proxy-dpop",
            ][..],
        ),
        (
            "authorization",
            missing,
            &[
                "authorization_",
                "authorization.",
                "authorization-",
                "_authorization",
                "x-authorization",
                "http_authorization",
                "proxy-authorization",
                "x-forwarded-authorization",
                "x-original-authorization",
                "x-access-token",
                "authentication",
            ],
        ),
    ] {
        for other in others {
            let mut moved = case.api.client.get(URL, &case.token);
            let value = moved.headers_mut().remove(right).unwrap();
            let moved = with_headers(moved, &[(other, value.as_bytes())]);
            assert_eq!(case.api.send(moved).await, reason, "{other}");

            let beside = case.api.client.get(URL, &case.token);
            let beside = with_headers(beside, &[(other, b"DPoP evil")]);
            assert_eq!(case.api.send(beside).await, Verdict::Admitted, "{other}");
        }
    }
}

/// CVE-2023-48223, CVE-2026-34950: a check that tells PEM from a secret by its first characters.
async fn a_public_key_in_pem_is_no_hmac_secret(way: Way) {
    let key = JoseKey::new(Algorithm::Rs256);
    let pair = RsaKeyPair::from_jwk(&Jwk::from_map(key.private()).unwrap()).unwrap();
    let pem = pair.to_pem_public_key();
    let traditional = pair.to_traditional_pem_public_key();
    let trimmed = |pem: &[u8]| pem.trim_ascii().to_vec();
    let secrets = [
        ("PEM", pem.clone()),
        ("PEM, trimmed", trimmed(&pem)),
        ("PEM after a new line", [b"\n", &pem[..]].concat()),
        ("PEM after spaces", [b"  ", &pem[..]].concat()),
        ("PEM twice", [&pem[..], &pem].concat()),
        ("the older PEM", traditional.clone()),
        ("the older PEM, trimmed", trimmed(&traditional)),
        (
            "the older PEM after a new line",
            [b"\n", &traditional[..]].concat(),
        ),
        ("DER", pair.to_der_public_key()),
    ];
    let client = JoseClient::new(way.api(), key.clone());
    let jwks = json!({"keys": [key.public()]}).to_string();
    let trusting = way.api_with(
        |_| {
            Issuer::new("https://issuer.test")
                .jwks(jwks)
                .audience(ORIGIN)
                .algorithms(Algorithm::ALL)
        },
        |config| config.algorithms(Algorithm::ALL),
    );
    for (what, secret) in secrets {
        for (alg, allowed) in [("HS256", false), ("RS256", true)] {
            let what = format!("{alg} with {what}");
            // The issuer's key, for a token.
            let header = json!({"typ": "at+jwt", "alg": alg}).to_string();
            let token = hmac_jws(&header, &trusting.token().payload_json(), &secret);
            let proof = trusting.proof(&token).sign();
            let reason = if allowed {
                "token_signature_invalid"
            } else {
                "token_alg_not_allowed"
            };
            let verdict = trusting.get(&token, &proof).await;
            assert_eq!(verdict, invalid_token(reason), "{what}");
            // The client's own key, for a proof.
            let mut header = client.header();
            header.insert("alg".to_owned(), alg.into());
            let header = Value::Object(header).to_string();
            let proof = hmac_jws(&header, &client.payload(), &secret);
            let reason = if allowed {
                "proof_signature_invalid"
            } else {
                "proof_alg_not_allowed"
            };
            client.case.reject(&what, &proof, reason).await;
        }
    }
    let verdict = client.case.send(&client.sign()).await;
    assert_eq!(verdict, Verdict::Admitted, "with the key itself");
}

/// CVE-2023-52428, CVE-2023-51774 and others: what an encrypted token can ask for is not even read.
async fn nothing_is_decrypted(way: Way) {
    let case = Case::new(way);
    let part = base64url([7; 64]);
    for header in [
        json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": i32::MAX, "p2s": part}),
        json!({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}),
        json!({"alg": "RSA1_5", "enc": "A128CBC-HS256"}),
        json!({"alg": "ECDH-ES", "enc": "A128GCM", "epk": {"kty": "EC"}}),
        // The headers of a signature.
        json!({"typ": "at+jwt", "alg": "ES256"}),
        json!({"typ": "dpop+jwt", "alg": "ES256"}),
    ] {
        let parts = [&base64url(header.to_string()), &part, &part, &part, &part];
        let jwe = parts.map(String::as_str).join(".");
        let verdict = case.api.get(&jwe, &case.api.proof(&jwe).sign()).await;
        assert_eq!(verdict, invalid_token("token_malformed"), "{header}");
        case.reject(&header.to_string(), &jwe, "proof_malformed")
            .await;
    }
    case.finish().await;
}

/// Kong: a lifetime of zero or less was one without end.
async fn a_token_that_has_ended_is_never_kept(way: Way) {
    let api = way.api();
    let now = api.now();
    for exp in [json!(0), json!(-1), json!(-0.5), json!(now), json!(now - 1)] {
        let token = api.token().claim("exp", exp.clone()).mint();
        for _ in 0..3 {
            let verdict = api.get(&token, &api.proof(&token).sign()).await;
            assert_eq!(verdict, invalid_token("token_expired"), "{exp}");
        }
    }
    let endless = api.token().without_claim("exp").mint();
    for _ in 0..3 {
        let verdict = api.get(&endless, &api.proof(&endless).sign()).await;
        assert_eq!(verdict, invalid_token("token_missing_claim"));
    }
}

/// Who tells a handler through headers who is calling writes what a token says into them, and has to
/// take off what the client wrote.
async fn no_claim_becomes_a_header_and_no_header_a_claim(way: Way) {
    async fn seen(token: BoundToken, headers: HeaderMap) -> String {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        json!([token.claims().subject(), headers]).to_string()
    }
    // What the gateway says, in the same form: who calls, and the headers but for the gateway's own.
    async fn seen_by_headers(mut headers: HeaderMap) -> String {
        let subject = headers["x-dpop-subject"].as_bytes();
        let subject = percent_decode(subject).decode_utf8().unwrap().into_owned();
        for own in ["subject", "client-id", "issuer", "thumbprint"] {
            assert!(headers.remove(format!("x-dpop-{own}")).is_some(), "{own}");
        }
        assert!(headers.remove("via").is_some());
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        json!([subject, headers]).to_string()
    }
    let api = way.api();
    let of = |handler| Router::new().route("/orders", handler);
    let config = api.config().build().unwrap();
    let router = way.protect(config, of(get(seen)), of(get(seen_by_headers)));
    for subject in [
        "alice",
        "alice\r\nx-user: root",
        "alice\r\n\r\nHTTP/1.1 200 OK",
        "alice\0",
        "alice, root",
        "\u{e4}lice",
    ] {
        let token = api.token().subject(subject).mint();
        let mut request = api.client.get(URL, &token);
        for name in ["x-user", "x_user", "x-sub", "sub", "x-dpop-sub", "x-claims"] {
            let name: HeaderName = name.parse().unwrap();
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static("root"));
        }
        let mut sent = request.headers().clone();
        if matches!(way.over, Over::Proxy(_)) {
            // It keeps the credentials to itself, calls the upstream by another name, and takes off
            // what looks as if it were its own.
            for name in ["authorization", "dpop", "host", "x-dpop-sub"] {
                sent.remove(name);
            }
        }
        let response = way.send(router.clone(), request).await;
        for (name, value) in response.headers() {
            let ordinary = ["content-type", "content-length", "date", "via"];
            assert!(ordinary.contains(&name.as_str()), "{name}: {value:?}");
        }
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        let (as_seen, headers): (String, Vec<(String, String)>) =
            serde_json::from_slice(&body).unwrap();
        assert_eq!(as_seen, subject);
        let mut headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        if matches!(way.over, Over::Proxy(_)) {
            // What it tells of the origin that was called.
            for name in [
                "host",
                "x-forwarded-host",
                "x-forwarded-port",
                "x-forwarded-proto",
            ] {
                assert!(headers.remove(name).is_some(), "{name}");
            }
        }
        assert_eq!(headers, sent, "{subject:?}");
    }
}

/// Some clients say `Ed25519` (RFC 9864), others `EdDSA`, and look for their own name.
async fn by_default_both_names_of_ed25519_are_advertised(way: Way) {
    let api = way.api();
    let mut request = Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    let response = api.response(request).await;
    assert!(Why::of(&response).is_some());
    let challenges = Challenge::all(response.headers());
    assert_eq!(
        challenges[0].get("algs"),
        Some("ES256 Ed25519 EdDSA PS256 RS256")
    );
}
