//! Whatever comes over the wire is answered, rejected, and forgotten.

use std::{net::SocketAddr, time::Duration};

use axum::http::StatusCode;
use dpop_tower::{Policy, nonce::NonceSecret, nonce::StatelessNonces};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    frameworks::axum_router::{serve, write_head},
    rejection::challenge::Challenge,
    support::{Api, Backend, URL, Verdict, invalid_proof, router, send},
};

dpop_conformance::each_backend!(
    junk_in_a_header_is_rejected_with_a_challenge,
    what_is_there_twice_is_rejected,
    no_header_and_no_form_of_the_target_moves_the_expected_htu,
    forged_headers_do_not_spoil_a_good_request_either,
    odd_paths_are_never_served_without_a_proof_for_just_them,
    targets_that_are_no_paths_are_rejected,
    a_token_counts_in_the_authorization_header_alone,
    what_is_no_http_is_answered_by_the_server_and_changes_nothing,
    requests_on_one_connection_are_judged_each_by_itself,
    of_thousands_of_mutated_requests_none_is_admitted_and_none_fails,
    signed_proofs_with_mutated_json_are_admitted_only_if_they_are_for_the_request,
    an_unknown_key_of_the_right_shape_is_no_more_than_a_bad_proof,
);

/// What came back over a socket.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let name: HeaderName = name.parse().ok()?;
            headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
        }
        Some(Self {
            status: status.parse().ok()?,
            headers,
        })
    }

    /// Whether the layer has rejected it, and not the server below.
    fn is_ours(&self) -> bool {
        self.headers.contains_key(header::WWW_AUTHENTICATE)
    }
}

/// An API on a socket, with a token and a proof for `GET` of [`URL`] to misuse.
struct Target {
    api: Api,
    address: SocketAddr,
}

impl Target {
    async fn new(backend: Backend) -> Self {
        let api = backend.api();
        let address = serve(api.router.clone()).await;
        Self { api, address }
    }

    async fn exchange(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may have answered and hung up before it has read all of it.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        let _ = read.await.expect("an answer");
        Answer::parse(&answer)
            .unwrap_or_else(|| panic!("not HTTP: {}", String::from_utf8_lossy(&answer)))
    }

    /// The headers of a good request.
    fn good(&self) -> [(&'static str, Vec<u8>); 3] {
        let token = self.api.token().mint();
        let proof = self.api.proof(&token).sign();
        [
            ("host", b"api.test".to_vec()),
            ("authorization", format!("DPoP {token}").into_bytes()),
            ("dpop", proof.into_bytes()),
        ]
    }

    async fn assert_serves(&self, after: &str) {
        let request = written("GET /orders", &self.good());
        let answer = self.exchange(&request).await;
        assert_eq!(answer.status, 200, "after {after}");
    }

    /// Sends it, and checks that the rejection is in order and the server as well as before.
    async fn rejected(&self, what: &str, request: &[u8]) -> Answer {
        let answer = self.exchange(request).await;
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        let challenges = Challenge::all(&answer.headers);
        if answer.status == 401 || answer.is_ours() {
            assert_eq!(challenges[0].scheme, "DPoP", "{what}");
            assert!(challenges[0].get("algs").is_some(), "{what}");
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{what}");
        }
        self.assert_serves(what).await;
        answer
    }
}

fn written(line: &str, headers: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

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

/// A malicious API that got a proof made for it cannot pass it on.
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

async fn what_is_no_http_is_answered_by_the_server_and_changes_nothing(backend: Backend) {
    let target = Target::new(backend).await;
    let [_, authorization, proof] = target.good();
    let authorization = String::from_utf8(authorization.1).unwrap();
    let proof = String::from_utf8(proof.1).unwrap();
    for (what, request) in [
        (
            "a byte of zero",
            format!(
                "GET /orders HTTP/1.1\r\ndpop: {proof}\0\r\nauthorization: {authorization}\r\n\r\n"
            ),
        ),
        (
            "a space before the colon",
            format!(
                "GET /orders HTTP/1.1\r\ndpop : {proof}\r\nauthorization: {authorization}\r\n\r\n"
            ),
        ),
        (
            "a folded line",
            format!(
                "GET /orders HTTP/1.1\r\ndpop: a\r\n {proof}\r\nauthorization: {authorization}\r\n\r\n"
            ),
        ),
        (
            "no colon",
            format!("GET /orders HTTP/1.1\r\ndpop\r\nauthorization: {authorization}\r\n\r\n"),
        ),
        (
            "two lengths",
            format!(
                "POST /orders HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\nauthorization: {authorization}\r\n\r\nab"
            ),
        ),
        ("no method", "/orders\r\n\r\n".to_owned()),
        ("another protocol", "EHLO api.test\r\n\r\n".to_owned()),
    ] {
        target.rejected(what, request.as_bytes()).await;
    }
}

/// Reads one answer from a connection that stays open.
async fn next_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let Some(answer) = Answer::parse(&bytes) else {
            continue;
        };
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let length = answer.headers[header::CONTENT_LENGTH].to_str().unwrap();
        if bytes.len() == head.unwrap() + 4 + length.parse::<usize>().unwrap() {
            return answer;
        }
    }
}

async fn requests_on_one_connection_are_judged_each_by_itself(backend: Backend) {
    let target = Target::new(backend).await;
    let api = &target.api;
    let token = api.token().mint();
    let get = || write_head(&api.client.get(URL, &token)) + "\r\n";
    let stranger = "GET /orders HTTP/1.1\r\nhost: api.test\r\n\r\n".to_owned();
    let used = get();
    let mut stream = TcpStream::connect(target.address).await.unwrap();
    for (request, status) in [
        (&stranger, 401),
        (&used, 200),
        (&stranger, 401),
        (&used, 401),
        (&get(), 200),
    ] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = timeout(Duration::from_secs(10), next_answer(&mut stream)).await;
        assert_eq!(answer.unwrap().status, status);
    }
}

/// Xorshift: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound
    }

    fn byte(&mut self) -> u8 {
        const INTERESTING: &[u8] = b".=,; \"\\-_+/AZaz09\t\x7f\x80\xff{}[]:";
        match self.below(3) {
            0 => INTERESTING[self.below(INTERESTING.len())],
            _ => self.next().to_le_bytes()[0],
        }
    }

    /// One to three small changes.
    fn mutate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(text.len().max(1));
            match self.below(7) {
                _ if text.is_empty() => text.push(self.byte()),
                0 => text[at] = self.byte(),
                1 => text[at] ^= 1 << self.below(8),
                2 => text.insert(at, self.byte()),
                3 => drop(text.remove(at)),
                4 => text.truncate(at),
                5 => {
                    let end = (at + self.below(20)).min(text.len());
                    let part = text[at..end].to_vec();
                    text.splice(at..at, part);
                }
                _ => {
                    let other = self.below(text.len());
                    text.swap(at, other);
                }
            }
        }
        text
    }
}

/// What is left of an `Authorization` header when all that has no meaning is taken off.
fn meaning(authorization: &[u8]) -> Vec<u8> {
    let mut meaning = authorization.to_vec();
    let scheme = meaning.len().min(4);
    meaning[..scheme].make_ascii_lowercase();
    while meaning.get(4..6) == Some(b"  ") {
        meaning.remove(4);
    }
    meaning
}

async fn of_thousands_of_mutated_requests_none_is_admitted_and_none_fails(backend: Backend) {
    let api = backend.api();
    let optional = api.config().policy(Policy::optional());
    let secret = NonceSecret::new([3; 32]).unwrap();
    let with_nonces = api
        .config()
        .nonce_source(StatelessNonces::new(secret))
        .require_nonces();
    let routers = [
        api.router.clone(),
        router(optional.build().unwrap()),
        router(with_nonces.build().unwrap()),
    ];
    let token = api.token().mint();
    let good = format!("DPoP {token}").into_bytes();
    let proof = api.proof(&token).sign().into_bytes();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut tried = 0;
    while tried < 4000 {
        let (mut a, mut p) = (good.clone(), proof.clone());
        let which = numbers.below(4);
        if which != 0 {
            p = numbers.mutate(&p);
        }
        if which < 2 {
            a = numbers.mutate(&a);
        }
        if meaning(&a) == meaning(&good) && p == proof {
            continue;
        }
        let (Ok(a), Ok(p)) = (HeaderValue::from_bytes(&a), HeaderValue::from_bytes(&p)) else {
            continue;
        };
        tried += 1;
        let mut request = Request::new(());
        *request.uri_mut() = "/orders".parse().unwrap();
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, a.clone());
        request.headers_mut().insert("dpop", p.clone());
        let response = send(routers[tried % 3].clone(), request).await;
        let verdict = Verdict::of(response);
        let Verdict::Rejected { status, .. } = verdict else {
            panic!("admitted: {a:?} {p:?}");
        };
        assert!(matches!(status, 400 | 401), "{verdict:?} {a:?} {p:?}");
    }
    let proof = std::str::from_utf8(&proof).unwrap();
    assert_eq!(
        api.get(&token, proof).await,
        Verdict::Admitted,
        "the proof is as good as ever"
    );
}

/// With a valid signature, so that what is behind its check is reached as well.
async fn signed_proofs_with_mutated_json_are_admitted_only_if_they_are_for_the_request(
    backend: Backend,
) {
    let api = backend.api();
    let token = api.token().mint();
    let header = api.proof(&token).header_json().into_bytes();
    let payload = api.proof(&token).payload_json().into_bytes();
    let ath = serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["ath"].clone();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for round in 0..1500 {
        let builder = api.proof(&token);
        let (proof, payload) = if round % 3 == 0 {
            let mutated = numbers.mutate(&header);
            (
                builder.raw_header(String::from_utf8_lossy(&mutated)),
                payload.clone(),
            )
        } else {
            let mutated = numbers.mutate(&payload);
            let text = String::from_utf8_lossy(&mutated).into_owned();
            (builder.raw_payload(text.clone()), text.into_bytes())
        };
        match api.get(&token, &proof.sign()).await {
            Verdict::Admitted => {
                let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(claims["htm"], "GET");
                assert_eq!(claims["ath"], ath);
                assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
            }
            Verdict::Rejected { status, .. } => assert_eq!(status, 401),
        }
    }
}

async fn an_unknown_key_of_the_right_shape_is_no_more_than_a_bad_proof(backend: Backend) {
    let api = backend.api();
    let token = api.token().mint();
    let zero = "A".repeat(43);
    for (x, y) in [
        (&zero[..], &zero[..]),
        ("", ""),
        (&zero, "_".repeat(43).as_str()),
    ] {
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        let proof = api.proof(&token).header("jwk", jwk).sign();
        let request = api
            .client
            .request_with_proof(Method::GET, URL, &token, &proof);
        let response = send(api.router.clone(), request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let Verdict::Rejected { error, .. } = Verdict::of(response) else {
            panic!("admitted with {x} {y}");
        };
        assert!(["invalid_dpop_proof", "invalid_token"].contains(&error));
    }
    // And whoever follows is served.
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}
