//! The token endpoint of an authorization server (RFC 9449 sections 5, 8 and 10).

mod grants;
mod layer;
mod proofs;
mod replay;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, Policy, PublicOrigin, RequestHead, Verifier,
    clock::ManualClock,
    nonce::{NonceSecret, StatelessNonces},
    test_util::{ProofBuilder, TestClient},
    token_endpoint::{TokenRequest, TokenRequestRejection},
};
use http::{HeaderMap, HeaderValue, Method, Uri};

const ORIGIN: &str = "https://idp.example.com";

const TOKEN: &str = "https://idp.example.com/token";

/// An authorization server, and a client of it with the same clock.
struct Idp {
    clock: ManualClock,
    client: TestClient,
}

impl Idp {
    fn new() -> Self {
        let clock = ManualClock::starting_now();
        let client = TestClient::new().clock(clock.clone());
        Self { clock, client }
    }

    /// Every verifier has the same source of nonces.
    fn config(&self) -> DpopConfigBuilder {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        DpopConfig::authorization_server(origin)
            .clock(self.clock.clone())
            .nonce_source(StatelessNonces::new(NonceSecret::new([3; 32]).unwrap()))
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(self.config().build().unwrap())
    }

    fn optional(&self) -> Verifier {
        self.verifier().with_policy(Policy::optional())
    }

    fn proof(&self) -> ProofBuilder {
        self.client.proof("POST", TOKEN)
    }
}

fn headers(proofs: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for proof in proofs {
        headers.append("dpop", HeaderValue::from_str(proof).unwrap());
    }
    headers
}

/// Verifies a `POST` to the token endpoint with these proofs.
fn verify(verifier: &Verifier, proofs: &[&str]) -> Result<TokenRequest, TokenRequestRejection> {
    let (uri, headers) = (Uri::from_static("/token"), headers(proofs));
    verifier.verify_token_request(RequestHead::new(&Method::POST, &uri, &headers))
}

/// Returns the reason and the error code of a rejection.
fn why<T>(result: Result<T, TokenRequestRejection>) -> (&'static str, &'static str) {
    match result {
        Ok(_) => ("none", "none"),
        Err(rejection) => (rejection.reason(), rejection.error_code()),
    }
}

const OK: (&str, &str) = ("none", "none");
