//! Requests with headers and targets that no client sends by mistake.

use super::{Target, written};
use crate::{rejection::challenge::Challenge, support::Backend};

dpop_conformance::each_backend!(
    junk_in_a_header_is_rejected_with_a_challenge,
    what_is_there_twice_is_rejected,
    no_header_and_no_form_of_the_target_moves_the_expected_htu,
    forged_headers_do_not_spoil_a_good_request_either,
    odd_paths_are_never_served_without_a_proof_for_just_them,
    targets_that_are_no_paths_are_rejected,
    a_token_counts_in_the_authorization_header_alone,
);

async fn junk_in_a_header_is_rejected_with_a_challenge(backend: Backend) {
    let target = Target::new(backend).await;
    let every_byte = |range: std::ops::RangeInclusive<u8>| range.collect::<Vec<u8>>();
    for (what, junk) in [
        ("64 KiB", vec![b'a'; 64 * 1024]),
        ("64 KiB of dots", vec![b'.'; 64 * 1024]),
        ("64 KiB of spaces", vec![b' '; 64 * 1024]),
        ("the upper half of all bytes", every_byte(0x80..=0xff)),
        ("printable bytes", every_byte(0x21..=0x7e)),
        ("tabs", b"\t\t\ta\t\t.\t".to_vec()),
        ("nothing", Vec::new()),
        ("a quote", b"\"".to_vec()),
        ("three dots", b"...".to_vec()),
        ("two dots", b"..".to_vec()),
        ("a comma", b",".to_vec()),
        ("UTF-8", "\u{1f511}.\u{1f511}.\u{1f511}".into()),
    ] {
        for place in ["authorization", "dpop", "token", "token and proof"] {
            let [host, mut authorization, mut proof] = target.good();
            match place {
                "authorization" => authorization.1.clone_from(&junk),
                "dpop" => proof.1.clone_from(&junk),
                _ => authorization.1 = [b"DPoP ", &junk[..]].concat(),
            }
            if place == "token and proof" {
                proof.1.clone_from(&junk);
            }
            let what = format!("{what} as {place}");
            let request = written("GET /orders", &[host, authorization, proof]);
            let answer = target.rejected(&what, &request).await;
            assert!(answer.is_ours(), "{what}: {answer:?}");
        }
    }
}

async fn what_is_there_twice_is_rejected(backend: Backend) {
    let target = Target::new(backend).await;
    let joined = |value: &[u8], separator: &[u8]| [value, value].join(separator);
    for (what, error) in [
        ("two Authorization headers", "invalid_request"),
        (
            "two Authorization headers of two schemes",
            "invalid_request",
        ),
        ("two DPoP headers", "invalid_dpop_proof"),
        ("a DPoP header twice in two spellings", "invalid_dpop_proof"),
        ("an empty DPoP header first", "invalid_dpop_proof"),
        ("proofs joined by a comma", "invalid_dpop_proof"),
        ("proofs joined by a comma and a space", "invalid_dpop_proof"),
        ("proofs joined by a space", "invalid_dpop_proof"),
        ("credentials joined by a comma", "invalid_request"),
    ] {
        let [host, authorization, proof] = target.good();
        let (a, p) = (authorization.clone(), proof.clone());
        let headers = match what {
            "two Authorization headers" => vec![host, a, authorization, proof],
            "two Authorization headers of two schemes" => {
                let basic = ("authorization", b"Basic YTpi".to_vec());
                vec![host, basic, authorization, proof]
            }
            "two DPoP headers" => vec![host, authorization, p, proof],
            "a DPoP header twice in two spellings" => {
                vec![host, authorization, ("DPOP", p.1), proof]
            }
            "an empty DPoP header first" => {
                vec![host, authorization, ("dpop", Vec::new()), proof]
            }
            "proofs joined by a comma" => {
                vec![host, authorization, ("dpop", joined(&p.1, b","))]
            }
            "proofs joined by a comma and a space" => {
                vec![host, authorization, ("dpop", joined(&p.1, b", "))]
            }
            "proofs joined by a space" => {
                vec![host, authorization, ("dpop", joined(&p.1, b" "))]
            }
            _ => vec![host, ("authorization", joined(&a.1, b", ")), proof],
        };
        let request = written("GET /orders", &headers);
        let answer = target.rejected(what, &request).await;
        let challenges = Challenge::all(&answer.headers);
        assert_eq!(challenges[0].get("error"), Some(error), "{what}");
    }
}

/// A malicious API cannot forward a proof that was made for it.
async fn no_header_and_no_form_of_the_target_moves_the_expected_htu(backend: Backend) {
    let target = Target::new(backend).await;
    let api = &target.api;
    let evil_proof = |token: &str| {
        let proof = api.client.proof("GET", "https://evil.test/orders");
        proof.access_token(token).sign().into_bytes()
    };
    for (line, host, forged) in [
        ("GET http://evil.test/orders", "evil.test", None),
        ("GET https://evil.test/orders", "api.test", None),
        ("GET https://evil.test:443/orders", "evil.test:443", None),
        ("GET /orders", "evil.test", None),
        ("GET /orders", "api.test", Some(("host", "evil.test"))),
        ("GET /orders", "evil.test", Some(("host", "api.test"))),
        (
            "GET /orders",
            "api.test",
            Some(("x-forwarded-host", "evil.test")),
        ),
        (
            "GET /orders",
            "evil.test",
            Some(("x-forwarded-proto", "https")),
        ),
        (
            "GET /orders",
            "api.test",
            Some(("forwarded", "host=evil.test;proto=https")),
        ),
        ("GET /orders", "api.test", Some(("x-host", "evil.test"))),
        (
            "GET /orders",
            "api.test",
            Some(("x-original-url", "https://evil.test/orders")),
        ),
        (
            "GET /orders",
            "api.test",
            Some(("x-rewrite-url", "https://evil.test/orders")),
        ),
    ] {
        let [_, mut authorization, mut proof] = target.good();
        let token = api.token().mint();
        authorization.1 = format!("DPoP {token}").into_bytes();
        proof.1 = evil_proof(&token);
        let mut headers = vec![("host", host.as_bytes().to_vec()), authorization, proof];
        if let Some((name, value)) = forged {
            headers.push((name, value.as_bytes().to_vec()));
        }
        let what = format!("{line} {host} {forged:?}");
        let answer = target.rejected(&what, &written(line, &headers)).await;
        if answer.is_ours() {
            let challenges = Challenge::all(&answer.headers);
            assert_eq!(
                challenges[0].get("error_description"),
                Some("the proof is for another URI"),
                "{what}"
            );
        }
    }
}

async fn forged_headers_do_not_spoil_a_good_request_either(backend: Backend) {
    let target = Target::new(backend).await;
    for forged in [
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/v1"),
        ("forwarded", "host=evil.test;proto=http"),
        ("forwarded", "\"\\"),
    ] {
        let mut headers = target.good().to_vec();
        headers.push((forged.0, forged.1.as_bytes().to_vec()));
        let answer = target.exchange(&written("GET /orders", &headers)).await;
        assert_eq!(answer.status, 200, "{forged:?}");
    }
}

async fn odd_paths_are_never_served_without_a_proof_for_just_them(backend: Backend) {
    let target = Target::new(backend).await;
    for path in [
        "//",
        "//orders",
        "/orders/",
        "/orders//",
        "/./orders",
        "/x/../orders",
        "/%2f",
        "/%2Forders",
        "/orders%2f",
        "/%6Frders%00",
        "/%zz",
        "/%",
        "/%e",
        "/orders%",
        "/..",
        "/../../orders",
        "/orders;a=b",
        "/\u{f6}rders",
        "/orders\\",
        "/ORDERS",
        "*",
        "orders",
        "",
        "?",
        "http://",
        "http:///orders",
        "://",
        "/orders#fragment#",
        "/[",
    ] {
        let [host, authorization, mut proof] = target.good();
        let token = String::from_utf8(authorization.1[5..].to_vec()).unwrap();
        let other = target.api.client.proof("GET", "https://api.test/other");
        proof.1 = other.access_token(&token).sign().into_bytes();
        let line = format!("GET {path}");
        let request = written(&line, &[host.clone(), authorization, proof]);
        let what = format!("{path:?} with a proof for another path");
        target.rejected(&what, &request).await;
        let what = format!("{path:?} without credentials");
        target.rejected(&what, &written(&line, &[host])).await;
    }
}

async fn targets_that_are_no_paths_are_rejected(backend: Backend) {
    let target = Target::new(backend).await;
    for (line, method) in [
        ("OPTIONS *", "OPTIONS"),
        ("CONNECT api.test:443", "CONNECT"),
    ] {
        for htu in [
            "https://api.test",
            "https://api.test/",
            "https://api.test/*",
        ] {
            let [host, authorization, mut proof] = target.good();
            let token = String::from_utf8(authorization.1[5..].to_vec()).unwrap();
            let builder = target.api.client.proof(method, htu);
            proof.1 = builder.access_token(&token).sign().into_bytes();
            let request = written(line, &[host, authorization, proof]);
            let what = format!("{line} with {htu}");
            let answer = target.rejected(&what, &request).await;
            if method == "OPTIONS" {
                let challenges = Challenge::all(&answer.headers);
                assert_eq!(
                    challenges[0].get("error"),
                    Some("invalid_request"),
                    "{what}"
                );
            }
        }
    }
}

async fn a_token_counts_in_the_authorization_header_alone(backend: Backend) {
    let target = Target::new(backend).await;
    let form = "application/x-www-form-urlencoded";
    for (what, scheme) in [
        ("query", None),
        ("query beside a scheme without token", Some("DPoP")),
        ("form", None),
        ("cookie", None),
        ("proxy", None),
    ] {
        let [host, authorization, proof] = target.good();
        let token = String::from_utf8(authorization.1[5..].to_vec()).unwrap();
        let mut line = "GET /orders".to_owned();
        let mut body = String::new();
        let mut headers = vec![host, proof];
        match what {
            "form" => {
                line = "POST /orders".to_owned();
                body = format!("access_token={token}");
                headers.push(("content-type", form.into()));
                headers.push(("content-length", body.len().to_string().into_bytes()));
            }
            "cookie" => headers.push(("cookie", format!("access_token={token}").into())),
            "proxy" => headers.push(("proxy-authorization", authorization.1)),
            _ => line += &format!("?access_token={token}"),
        }
        if let Some(scheme) = scheme {
            headers.push(("authorization", scheme.into()));
        }
        let mut request = written(&line, &headers);
        request.extend_from_slice(body.as_bytes());
        let answer = target.rejected(what, &request).await;
        let challenges = Challenge::all(&answer.headers);
        let expected = scheme.map(|_| "invalid_request");
        assert_eq!(challenges[0].get("error"), expected, "{what}");
    }
}
