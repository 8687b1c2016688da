//! The inputs that cost most for their length, with their readers.

use std::{
    future::Future as _,
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use dpop_tower::{
    DpopConfig, DpopLayer, Issuer, PublicOrigin,
    clock::{ManualClock, UnixTime},
    crypto::{
        Algorithm, AwsLcRs, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey, VerifyingKey,
    },
    jwk::PublicJwk,
    nonce::{NonceContext, NonceSecret, NonceSource as _, NonceStatus, StatelessNonces},
    proof::{Htu, Origin, ProofContext, ProofVerifier},
    rejection::Rejection,
    replay::MemoryReplayStore,
    test_util::{TestClient, TestIssuer},
};
use http::{HeaderValue, Method, Request, Response};
use tower::{Layer as _, Service as _};

const ORIGIN: &str = "https://api.test";
const URL: &str = "https://api.test/orders";
const JWK: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// The shape of an input that is rejected for its depth, and for its length.
const TOO_DEEP: &str = "arrays that are too deep";
pub(crate) const TOO_LONG: &str = "too long";

/// One input and its reader.
pub(crate) struct Case {
    pub(crate) reader: &'static str,
    pub(crate) shape: &'static str,
    /// The length of the input as it came over the wire.
    pub(crate) len: usize,
    pub(crate) read: Box<dyn Fn()>,
}

impl Case {
    fn new(
        reader: &'static str,
        shape: &'static str,
        len: usize,
        read: impl Fn() + 'static,
    ) -> Self {
        Self {
            reader,
            shape,
            len,
            read: Box::new(read),
        }
    }
}

/// Returns all cases, of about `len` bytes each.
pub(crate) fn cases(len: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for (shape, value) in json(len * 3 / 4 - 400) {
        cases.extend(json_cases(shape, &value));
    }
    cases.extend(texts(len));
    cases.extend(uris(len));
    cases.extend(headers(len));
    cases
}

/// Returns JSON values of about `len` bytes that may be expensive for a parser.
fn json(len: usize) -> Vec<(&'static str, String)> {
    let list = |item: &str| {
        let items = vec![item; len / (item.len() + 1)];
        format!("[{}]", items.join(","))
    };
    let object = |members: usize, name: &dyn Fn(usize) -> String| {
        let members: Vec<String> = (0..members).map(|i| format!("\"{}\":0", name(i))).collect();
        format!("{{{}}}", members.join(","))
    };
    // An object may have 256 members.
    let short_names = object(256, &|i| format!("{i:x}"));
    let escaped_names = object(256, &|i| format!("\\u{i:04x}"));
    let alike = "a".repeat(len / 256 - 10);
    let long_names = object(250, &|i| format!("{alike}{i}"));
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}0{}", open.repeat(depth), close.repeat(depth))
    };
    vec![
        ("numbers", list("0")),
        ("large numbers", list("123456789012345678901234567890e-300")),
        ("a long number", format!("0.{}", "1".repeat(len))),
        ("empty strings", list("\"\"")),
        ("escapes", format!("\"{}\"", "\\u00e9".repeat(len / 6))),
        ("empty arrays", list("[]")),
        ("empty objects", list("{}")),
        ("small objects", list("{\"\":0}")),
        ("objects of many members", list(&short_names)),
        ("objects of escaped names", list(&escaped_names)),
        ("long names", long_names),
        ("deep arrays", list(&nested("[", "]", 13))),
        ("deep objects", list(&nested("{\"\":", "}", 13))),
        (TOO_DEEP, nested("[", "]", len / 2)),
    ]
}

/// Puts the same value in each place that accepts JSON, from strangers or from the issuer.
fn json_cases(shape: &'static str, value: &str) -> Vec<Case> {
    let rejected = shape == TOO_DEEP;
    let with = |object: &str| object.replacen('{', &format!("{{\"more\":{value},"), 1);

    let client = TestClient::new().clock(ManualClock::new(NOW));
    let draft = || client.proof("GET", URL);
    let header = draft().raw_header(with(&draft().header_json())).sign();
    let payload = draft().raw_payload(with(&draft().payload_json())).sign();
    let mut cases = vec![
        proof("proof header", shape, header, rejected),
        proof("proof payload", shape, payload, rejected),
    ];

    let jwk = with(JWK);
    cases.push(Case::new("jwk", shape, jwk.len(), move || {
        assert_eq!(PublicJwk::from_json(&jwk).is_err(), rejected);
    }));

    let issuer = TestIssuer::new().clock(ManualClock::new(NOW));
    let jwks = with(&issuer.jwks());
    cases.push(Case::new("jwk set", shape, jwks.len(), move || {
        let tokens = Issuer::new("https://issuer.test")
            .jwks(jwks.as_str())
            .audience(ORIGIN);
        // An invalid part of an issuer's document spoils only itself.
        assert!(config(tokens).is_some());
    }));

    let draft = || issuer.token().bound_to(&client);
    let header = draft().raw_header(with(&draft().header_json())).mint();
    let payload = draft().raw_payload(with(&draft().payload_json())).mint();
    for (reader, token) in [("token header", header), ("token payload", payload)] {
        let request = client.get(URL, &token);
        let layer = DpopLayer::new(config(issuer.tokens()).unwrap());
        cases.push(Case::new(reader, shape, token.len(), move || {
            let reason = rejection(&layer, request.clone());
            let last_check = reason == "token_signature_invalid";
            assert_eq!(last_check, !rejected, "{reason}");
        }));
    }
    cases
}

fn proof(reader: &'static str, shape: &'static str, proof: String, rejected: bool) -> Case {
    Case::new(reader, shape, proof.len(), move || {
        let htu = Htu::parse(URL).unwrap();
        let context = ProofContext::new(&Method::GET, &htu, NOW);
        let result = ProofVerifier::default().check(&proof, &context, &AwsLcRs);
        assert_eq!(result.is_err(), rejected);
    })
}

/// Texts that are not JSON, or not even base64url, and a nonce.
fn texts(len: usize) -> Vec<Case> {
    let third = "A".repeat(len / 12 * 4);
    let mut cases: Vec<Case> = [
        ("no JSON", format!("{third}.{third}.{third}")),
        ("no base64url", format!("{third}.{third}.{third}!")),
        ("dots", ".".repeat(len)),
        (TOO_LONG, "A".repeat(16 * 1024 + len)),
    ]
    .into_iter()
    .map(|(shape, text)| proof("proof", shape, text, true))
    .collect();

    let nonces = StatelessNonces::new(NonceSecret::new([7; 32]).unwrap());
    let nonce = "A".repeat(len);
    cases.push(Case::new("nonce", "long", len, move || {
        assert_eq!(
            nonces.check(&nonce, &NonceContext::new(NOW, &AwsLcRs)),
            NonceStatus::Unknown
        );
    }));
    cases
}

/// Claims and request targets: a long host before a long path, and each alone.
fn uris(len: usize) -> Vec<Case> {
    let half = len / 2;
    let host = format!("https://{}", "a".repeat(half));
    let mut cases = Vec::new();
    for (shape, path) in [
        ("dot segments at the root", "/..".repeat(half / 3)),
        (
            "dot segments",
            "/a".repeat(half / 5) + &"/..".repeat(half / 5),
        ),
        ("encoded dot segments", "/%2e%2E".repeat(half / 7)),
        ("percent-encodings", format!("/{}", "%7e".repeat(half / 3))),
        ("slashes", "/".repeat(half)),
    ] {
        let uri = format!("{host}{path}");
        let origin = Origin::parse(&host).unwrap();
        let total = uri.len();
        cases.push(Case::new("htu", shape, total, move || {
            assert!(Htu::parse(&uri).is_ok());
        }));
        cases.push(Case::new("target", shape, total, move || {
            assert!(origin.with_path(&path).is_ok());
        }));
    }
    for (shape, uri, is_uri) in [
        (
            "encoded host",
            format!("https://{}/", "%41".repeat(len / 3)),
            true,
        ),
        (
            "host in upper case",
            format!("https://{}/", "A".repeat(len)),
            true,
        ),
        (
            "port with zeros",
            format!("https://a:{}443/", "0".repeat(len)),
            true,
        ),
        (
            "long port",
            format!("https://a:{}/", "1".repeat(len)),
            false,
        ),
        (
            "no address",
            format!("https://[{}]/", ":".repeat(len)),
            false,
        ),
    ] {
        cases.push(Case::new("htu", shape, uri.len(), move || {
            assert_eq!(Htu::parse(&uri).is_ok(), is_uri);
        }));
    }

    let long = |tail| Htu::parse(&format!("{ORIGIN}/{}{tail}", "%2f".repeat(half / 3))).unwrap();
    let (one, other) = (long("a"), long("%61b"));
    cases.push(Case::new("htu difference", "at the end", len, move || {
        assert!(one.difference(&other).is_some());
    }));
    let origin = Origin::parse(ORIGIN).unwrap();
    let authority = "%41".repeat(len / 3);
    cases.push(Case::new("host header", "encoded", len, move || {
        assert!(!origin.authority_matches(&authority));
    }));
    cases
}

/// Sends `Authorization` headers through the whole layer.
fn headers(len: usize) -> Vec<Case> {
    let issuer = TestIssuer::new();
    let layer = DpopLayer::new(config(issuer.tokens()).unwrap());
    [
        (
            "spaces",
            format!("DPoP {}", " ".repeat(len)),
            "credentials_malformed",
        ),
        ("long scheme", "a".repeat(len), "credentials_missing"),
        (
            "padding",
            format!("DPoP {}", "=".repeat(len)),
            "credentials_malformed",
        ),
        (
            "no token68",
            format!("DPoP {},", "a".repeat(len)),
            "credentials_malformed",
        ),
        (
            "long token",
            format!("DPoP {}", "a".repeat(len)),
            "proof_malformed",
        ),
        (
            TOO_LONG,
            format!("DPoP {}", "a".repeat(16 * 1024 + len)),
            "token_too_long",
        ),
    ]
    .into_iter()
    .map(|(shape, value, reason)| {
        let layer = layer.clone();
        let total = value.len();
        let mut request = Request::new(());
        let headers = request.headers_mut();
        headers.insert("authorization", HeaderValue::try_from(value).unwrap());
        headers.insert("dpop", HeaderValue::from_static("a.b.c"));
        Case::new("authorization", shape, total, move || {
            assert_eq!(rejection(&layer, request.clone()), reason);
        })
    })
    .collect()
}

fn config(tokens: Issuer) -> Option<DpopConfig> {
    DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens)
        .crypto(NoSignature)
        .replay_store(MemoryReplayStore::with_capacity(NonZeroUsize::MIN))
        .clock(ManualClock::new(NOW))
        .build()
        .ok()
}

/// Returns the reason for which a layer rejects a stranger's request, which has no valid signature.
fn rejection(layer: &DpopLayer, request: Request<()>) -> &'static str {
    let inner = tower::service_fn(|_: Request<()>| async {
        Ok::<_, std::convert::Infallible>(Response::new(()))
    });
    let response = pin!(layer.layer(inner).call(request));
    match response.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response.extensions().get::<Rejection>().unwrap().reason(),
        Poll::Pending => panic!("nothing to wait for"),
    }
}

/// Leaves out cryptography, which takes the same time for every input.
#[derive(Clone, Copy, Debug)]
struct NoSignature;

impl CryptoProvider for NoSignature {
    fn supports(&self, _: Algorithm) -> bool {
        true
    }

    fn prepare(&self, _: &PublicJwk, _: Algorithm) -> Result<PreparedKey, InvalidKey> {
        Ok(Arc::new(*self))
    }

    fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
        AwsLcRs.sha256(parts)
    }

    fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        AwsLcRs.hmac_sha256(key, parts)
    }
}

impl VerifyingKey for NoSignature {
    fn verify(&self, _: &[u8], _: &[u8]) -> Result<(), InvalidSignature> {
        Err(InvalidSignature)
    }
}
