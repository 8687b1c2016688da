//! A layer in front of a service, without sockets, runtime, time or signatures.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use dpop_tower::{
    BearerToken, BoundToken, DpopLayer, Report, ResponseBody,
    crypto::{
        Algorithm, AwsLcRs, CryptoProvider, InvalidKey, InvalidSignature, PreparedKey, VerifyingKey,
    },
    jwk::PublicJwk,
};
use http::{Request, Response};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::reading;

pub const ORIGIN: &str = "https://api.test";
pub const ISSUER: &str = "https://issuer.test";
pub const AUDIENCE: &str = "https://api.test";
pub const NOW: i64 = 1_800_000_000;

/// Public keys of RFC 9449 section 4.1, RFC 8037 appendix A.1 and RFC 7638 section 3.1.
pub const JWKS: [&str; 3] = [
    r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#,
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    r#"{"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#,
];
pub const ALGS: [&str; 3] = ["ES256", "Ed25519", "RS256"];

/// The thumbprint of one of [`JWKS`].
pub fn thumbprint(key: usize) -> [u8; 32] {
    static THUMBPRINTS: LazyLock<[[u8; 32]; 3]> = LazyLock::new(|| {
        JWKS.map(|jwk| {
            let jwk = reading::object(jwk.as_bytes()).expect("an object");
            reading::thumbprint(&jwk).expect("a key")
        })
    });
    THUMBPRINTS[key]
}

/// Replaces signatures, since a fuzzer cannot forge one and the code behind them would never be reached.
#[derive(Clone, Copy, Debug)]
pub enum Signatures {
    /// Accepts every signature for every message.
    Any,
    /// Uses a hash of the message, which cannot be mutated into another valid one.
    Hash,
}

impl CryptoProvider for Signatures {
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

impl VerifyingKey for Signatures {
    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        match self {
            Self::Any => Ok(()),
            Self::Hash if reading::sha256(message) == signature => Ok(()),
            Self::Hash => Err(InvalidSignature),
        }
    }
}

/// Returns a JWS that [`Signatures::Hash`] accepts.
pub fn sign(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", reading::encode(header), reading::encode(payload));
    let signature = reading::encode(reading::sha256(&message));
    format!("{message}.{signature}")
}

/// What the service saw of a request, stored in the extensions of its response.
#[derive(Clone, Debug)]
pub struct Reached {
    pub bound: Option<BoundToken>,
    pub bearer: Option<BearerToken>,
    pub report: Option<Report>,
}

/// Sends a request through a layer. Nothing in it waits, so one poll is enough.
pub fn send(layer: &DpopLayer, request: Request<()>) -> Response<ResponseBody<()>> {
    let mut service = layer.layer(Inner);
    let response = pin!(service.call(request));
    match response.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

#[derive(Clone, Copy, Debug)]
struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let extensions = request.extensions();
        let mut response = Response::new(());
        response.extensions_mut().insert(Reached {
            bound: extensions.get().cloned(),
            bearer: extensions.get().cloned(),
            report: extensions.get().cloned(),
        });
        ready(Ok(response))
    }
}
