//! Proofs that the client makes are admitted by the layer, whichever backend verifies them.

use std::{io, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_tower::{
    DpopConfig, DpopLayer, PublicOrigin,
    client::{ClientErrorKind, ClientKey, DpopClient, ProofSigner, SignerError},
    clock::{ManualClock, TimeSource as _},
    crypto::{Algorithm, AwsLcRs, CryptoProvider, Josekit},
    future::MaybeReady,
    jwk::PublicJwk,
    test_util::TestIssuer,
};
use http::{HeaderMap, Method, Request, Response, Uri, header};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

/// Returns the header (0) or the payload (1) of a JWT.
pub(super) fn part(jwt: &str, index: usize) -> Value {
    let part = jwt.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

const ORDERS: &str = "https://api.example.com/orders";

async fn status(crypto: impl CryptoProvider, issuer: &TestIssuer, headers: &HeaderMap) -> u16 {
    let origin = PublicOrigin::new("https://api.example.com").unwrap();
    let config = DpopConfig::builder(origin, issuer.tokens())
        .algorithms([
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::Ed25519,
            Algorithm::EdDsa,
            Algorithm::Ps256,
            Algorithm::Rs256,
        ])
        .crypto(crypto);
    let service = ServiceBuilder::new()
        .layer(DpopLayer::new(config.build().unwrap()))
        .service(service_fn(async |_: Request<()>| {
            Ok::<_, io::Error>(Response::new(()))
        }));
    let mut request = Request::get("/orders").body(()).unwrap();
    request.headers_mut().extend(headers.clone());
    service.oneshot(request).await.unwrap().status().as_u16()
}

fn headers(token: &str, proof: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let authorization = format!("DPoP {token}").parse().unwrap();
    headers.insert(header::AUTHORIZATION, authorization);
    headers.insert("dpop", proof.parse().unwrap());
    headers
}

#[tokio::test]
async fn a_proof_of_every_kind_of_key_is_admitted_with_each_backend() {
    let issuer = TestIssuer::new();
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Ed25519,
        Algorithm::EdDsa,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ] {
        let key = ClientKey::generate(algorithm).unwrap();
        let client = DpopClient::new(key.clone()).unwrap();
        assert_eq!(client.thumbprint(), key.thumbprint());
        let token = issuer.token().bound_to_thumbprint(&key.thumbprint()).mint();
        let uri = Uri::from_static("HTTPS://API.example.com:443/orders?page=2");
        let builder = client.proof(&Method::GET, &uri).unwrap();
        let proof = builder.access_token(&token).sign().await.unwrap();
        let headers = headers(&token, &proof);
        assert_eq!(status(Josekit, &issuer, &headers).await, 200, "{algorithm}");
        assert_eq!(status(AwsLcRs, &issuer, &headers).await, 200, "{algorithm}");

        let other = DpopClient::new(ClientKey::generate(algorithm).unwrap()).unwrap();
        let builder = other.proof(&Method::GET, &uri).unwrap();
        let proof = builder.access_token(&token).sign().await.unwrap();
        let headers = self::headers(&token, &proof);
        assert_eq!(status(Josekit, &issuer, &headers).await, 401, "{algorithm}");
    }
}

#[tokio::test]
async fn a_proof_has_the_claims_of_section_4_2_and_no_others() {
    let clock = ManualClock::starting_now();
    let key = ClientKey::generate(Algorithm::Es256).unwrap();
    let client = DpopClient::new(key).unwrap().clock(clock.clone());
    clock.advance(Duration::from_secs(500));
    let uri = Uri::from_static(ORDERS);
    let proof = || client.proof(&Method::PUT, &uri).unwrap();

    let text = proof().nonce("a\"b\\c").access_token("token").sign().await;
    let claims = part(&text.unwrap(), 1);
    assert_eq!(claims["htm"], "PUT");
    assert_eq!(claims["htu"], ORDERS);
    assert_eq!(claims["iat"], clock.now().as_secs());
    assert_eq!(claims["nonce"], "a\"b\\c");
    assert_eq!(claims["ath"], client.ath("token").to_string());
    assert_eq!(claims.as_object().unwrap().len(), 6);

    let (one, other) = (proof().sign().await.unwrap(), proof().sign().await.unwrap());
    let claims = part(&one, 1);
    let mut names: Vec<_> = claims.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["htm", "htu", "iat", "jti"]);
    assert_ne!(part(&one, 1)["jti"], part(&other, 1)["jti"]);
    assert_eq!(part(&one, 0)["typ"], "dpop+jwt");
    assert!(part(&one, 0)["jwk"].get("d").is_none());
}

/// A key that is somewhere else.
#[derive(Debug)]
struct Remote(ClientKey, bool);

impl ProofSigner for Remote {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        self.0.public_jwk()
    }

    fn sign(&self, input: &[u8]) -> MaybeReady<Result<Vec<u8>, SignerError>> {
        let (key, input, works) = (self.0.clone(), input.to_vec(), self.1);
        MaybeReady::pending(async move {
            tokio::task::yield_now().await;
            if works {
                key.sign(&input).map_err(SignerError::new)
            } else {
                Err(SignerError::new("the key service is out of reach"))
            }
        })
    }
}

#[tokio::test]
async fn a_signer_may_take_its_time_and_may_fail() {
    let issuer = TestIssuer::new();
    let key = ClientKey::generate(Algorithm::Es256).unwrap();
    let token = issuer.token().bound_to_thumbprint(&key.thumbprint()).mint();
    for works in [true, false] {
        let client = DpopClient::new(Remote(key.clone(), works)).unwrap();
        let builder = client
            .proof(&Method::GET, &Uri::from_static(ORDERS))
            .unwrap();
        match builder.access_token(&token).sign().await {
            Ok(proof) => {
                assert!(works);
                assert_eq!(
                    status(Josekit, &issuer, &headers(&token, &proof)).await,
                    200
                );
            }
            Err(error) => {
                assert!(!works);
                assert_eq!(error.kind(), ClientErrorKind::Signer);
            }
        }
    }
}

#[test]
fn a_key_survives_export_and_import_and_hides_itself() {
    for algorithm in [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Ed25519,
        Algorithm::Ps256,
        Algorithm::Rs256,
    ] {
        let key = ClientKey::generate(algorithm).unwrap();
        let jwk = key.to_jwk().unwrap();
        let members: Value = serde_json::from_str(jwk.as_str()).unwrap();
        assert_eq!(members["alg"], algorithm.as_str());
        let read = ClientKey::from_jwk(jwk.as_str()).unwrap();
        assert_eq!(read.thumbprint(), key.thumbprint());
        assert_eq!(read.algorithm(), algorithm);
        let pem = key.to_pkcs8_pem().unwrap();
        let read = ClientKey::from_pkcs8_pem(pem.as_str()).unwrap();
        assert_eq!(read.thumbprint(), key.thumbprint());

        let secret = members["d"].as_str().unwrap();
        for shown in [format!("{key:?}"), format!("{jwk:?}"), format!("{pem:?}")] {
            assert!(
                !shown.contains(secret) && !shown.contains("PRIVATE"),
                "{shown}"
            );
        }
    }
    let es512 = ClientKey::generate(Algorithm::Es512).unwrap_err();
    assert_eq!(es512.kind(), ClientErrorKind::Key);
    let es256 = ClientKey::generate(Algorithm::Es256).unwrap();
    assert!(es256.with_algorithm(Algorithm::Es384).is_err());
}
