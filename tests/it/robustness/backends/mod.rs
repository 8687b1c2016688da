//! A comparison of the backends where implementations are known to differ.

mod ecdsa;
mod ed25519;
mod edits;
mod rsa;

use dpop_tower::{
    DpopConfig, Issuer, PublicOrigin,
    crypto::{Algorithm, AwsLcRs, InvalidKey, InvalidSignature},
    jwk::{JwkError, PublicJwk},
    test_util::{TestClient, TestIssuer},
};
use serde_json::json;
use tokio::{io::AsyncReadExt as _, net::TcpListener};

use crate::{
    robustness::crypto::{Verdict, base64url, verdicts},
    support::{self, ORIGIN, URL, router, send, unavailable},
};

const MESSAGE: &[u8] = b"what is signed";

const ACCEPTED: Verdict = Ok(Ok(()));
const REJECTED: Verdict = Ok(Err(InvalidSignature));
const KEY_REJECTED: Verdict = Err(InvalidKey);

#[track_caller]
fn assert_all(
    key: &PublicJwk,
    algorithm: Algorithm,
    signature: &[u8],
    expected: Verdict,
    what: &str,
) {
    for (name, verdict) in verdicts(key, algorithm, MESSAGE, signature) {
        assert_eq!(verdict, expected, "{name}: {algorithm}: {what}");
    }
}

// Ed25519.

fn ed25519(x: [u8; 32]) -> Result<PublicJwk, JwkError> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(x)});
    PublicJwk::from_json(&jwk.to_string())
}

// TLS.

/// Returns the types of the extensions of a `ClientHello` (RFC 8446 section 4.1.2), from its record's
/// body.
fn extensions(handshake: &[u8]) -> Vec<u16> {
    fn split<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (first, rest) = bytes.split_at(len);
        *bytes = rest;
        first
    }
    fn number(bytes: &[u8]) -> usize {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    let mut rest = handshake;
    assert_eq!(split(&mut rest, 4)[0], 1, "a ClientHello");
    split(&mut rest, 2 + 32);
    for len_of_len in [1, 2, 1] {
        let len = number(split(&mut rest, len_of_len));
        split(&mut rest, len);
    }
    split(&mut rest, 2);
    let mut types = Vec::new();
    while !rest.is_empty() {
        types.push(u16::try_from(number(split(&mut rest, 2))).unwrap());
        let len = number(split(&mut rest, 2));
        split(&mut rest, len);
    }
    types
}

/// reqwest has both TLS libraries here. OpenSSL offers `encrypt_then_mac` (RFC 7366), rustls never
/// does.
#[tokio::test]
async fn with_both_backends_keys_are_fetched_with_openssl() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let issuer = TestIssuer::new().issuer(&url);
    let client = TestClient::new();
    let token = issuer.token().bound_to(&client).mint();

    let hello = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut header = [0; 5];
        connection.read_exact(&mut header).await.unwrap();
        let [22, 3, _, high, low] = header else {
            panic!("no handshake: {header:?}");
        };
        let mut handshake = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        connection.read_exact(&mut handshake).await.unwrap();
        handshake
    });
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let tokens = Issuer::discover(&url).audience(ORIGIN);
    let config = DpopConfig::builder(origin, tokens).crypto(AwsLcRs);
    let response = send(router(config.build().unwrap()), client.get(URL, &token)).await;
    assert_eq!(
        support::Verdict::of(response),
        unavailable("keys_unavailable")
    );
    assert!(extensions(&hello.await.unwrap()).contains(&22));
}
