//! Code that the measurements share: a protected service, and requests for it that are created in
//! advance.

pub mod load;
pub mod measure;
#[cfg(feature = "peers")]
pub mod peers;
pub mod results;
pub mod traffic;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

#[cfg(feature = "josekit")]
use dpop_tower::crypto::Josekit;
use dpop_tower::{
    Dpop, DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PublicOrigin,
    crypto::{Algorithm, AwsLcRs, CryptoProvider, PreparedKey},
    jwk::PublicJwk,
    replay::MemoryReplayStore,
    test_util::{KeyKind, TestClient, TestIssuer},
    token::IntoTokens,
};
use http::{Method, Request, Response};
use tower::{Layer as _, Service, service_fn, util::ServiceFn};

/// The URL by which clients call the API.
pub const URL: &str = "https://api.example.com/orders/42";

/// A service that does nothing.
pub type Inner = ServiceFn<fn(Request<()>) -> Ready<Result<Response<()>, Infallible>>>;

/// The crypto backends in this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// AWS-LC.
    AwsLcRs,
    /// OpenSSL.
    #[cfg(feature = "josekit")]
    Josekit,
}

impl Backend {
    /// All backends.
    pub const ALL: &[Self] = &[
        Self::AwsLcRs,
        #[cfg(feature = "josekit")]
        Self::Josekit,
    ];

    /// Returns the name of the backend's feature.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsLcRs => "aws-lc-rs",
            #[cfg(feature = "josekit")]
            Self::Josekit => "josekit",
        }
    }

    fn verifier(self) -> &'static dyn CryptoProvider {
        match self {
            Self::AwsLcRs => &AwsLcRs,
            #[cfg(feature = "josekit")]
            Self::Josekit => &Josekit,
        }
    }
}

/// An issuer, a client and a token.
#[derive(Debug)]
pub struct World {
    pub issuer: TestIssuer,
    pub client: TestClient,
    pub token: String,
}

impl World {
    /// Creates them with keys of these kinds.
    pub fn new(proofs: KeyKind, tokens: KeyKind) -> Self {
        let issuer = TestIssuer::with_key(tokens);
        let client = TestClient::with_key(proofs);
        let token = issuer
            .token()
            .subject("alice")
            .scope("orders:read orders:write")
            .claim("client_id", "shop")
            .bound_to(&client)
            .mint();
        Self {
            issuer,
            client,
            token,
        }
    }

    /// Returns a configuration for this issuer, with a store of the default size that one client may
    /// fill.
    pub fn config(&self, backend: Backend) -> DpopConfigBuilder {
        self.config_with(backend, self.issuer.tokens())
    }

    /// Returns the same configuration for 100 issuers, of which this one is the last.
    pub fn config_of_100_issuers(&self, backend: Backend) -> DpopConfigBuilder {
        let other = |n: usize| TestIssuer::new().issuer(format!("https://{n}.example.com"));
        let others = (1..100).map(|n| other(n).tokens());
        let issuers: Vec<_> = others.chain([self.issuer.tokens()]).collect();
        self.config_with(backend, issuers)
    }

    fn config_with(&self, backend: Backend, tokens: impl IntoTokens) -> DpopConfigBuilder {
        let origin = PublicOrigin::new("https://api.example.com").expect("it is one");
        let room = std::num::NonZeroUsize::new(1_000_000).expect("it is more than nothing");
        let store = MemoryReplayStore::with_capacity(room).capacity_per_key(room);
        let config = DpopConfig::builder(origin, tokens)
            // Proofs are made long before they are used.
            .danger_max_age(std::time::Duration::from_secs(3600))
            .replay_store(store);
        match backend {
            Backend::AwsLcRs => config.crypto(AwsLcRs),
            #[cfg(feature = "josekit")]
            Backend::Josekit => config.crypto(Josekit),
        }
    }

    /// Returns a service behind the layer.
    pub fn service(&self, backend: Backend, policy: Policy) -> Dpop<Inner> {
        Self::protected(self.config(backend), policy)
    }

    /// Returns a service behind a layer of this configuration.
    pub fn protected(config: DpopConfigBuilder, policy: Policy) -> Dpop<Inner> {
        DpopLayer::new(config.build().expect("it is a good one"))
            .with_policy(policy)
            .layer(service_fn(answer))
    }

    /// Returns `count` valid requests.
    pub fn requests(&self, count: usize) -> Vec<Request<()>> {
        (0..count)
            .map(|_| self.client.request(Method::GET, URL, &self.token))
            .collect()
    }

    /// Returns `count` signature checks of proofs.
    ///
    /// All signatures are different, as those of requests are: a processor learns the branches of a
    /// signature check that is repeated exactly.
    pub fn raw(&self, backend: Backend, count: usize) -> Raw {
        let proof = || {
            self.client
                .proof("GET", URL)
                .access_token(&self.token)
                .sign()
        };
        Raw::new(std::iter::repeat_with(proof).take(count), backend)
    }
}

fn answer(request: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    black_box(request);
    ready(Ok(Response::new(())))
}

/// Signatures, the signed messages, and the parsed key.
#[derive(Debug)]
pub struct Raw {
    key: PreparedKey,
    signed: Vec<(String, Vec<u8>)>,
    next: usize,
}

impl Raw {
    fn new(proofs: impl Iterator<Item = String>, backend: Backend) -> Self {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("it is base64url");
        let mut key = None;
        let signed = proofs.map(|proof| {
            let (message, signature) = proof.rsplit_once('.').expect("a JWS has dots");
            key.get_or_insert_with(|| {
                let (header, _) = message.split_once('.').expect("a JWS has dots");
                let header: serde_json::Value =
                    serde_json::from_slice(&decode(header)).expect("it is JSON");
                let algorithm = header["alg"].as_str().expect("it is a name");
                let algorithm = Algorithm::from_name(algorithm).expect("it is known");
                let key = PublicJwk::from_json(&header["jwk"].to_string()).expect("it is a key");
                let prepared = backend.verifier().prepare(&key, algorithm);
                prepared.expect("it is a key")
            });
            (message.to_owned(), decode(signature))
        });
        Self {
            signed: signed.collect(),
            key: key.expect("there is a proof"),
            next: 0,
        }
    }

    /// Verifies the next signature.
    #[inline(never)]
    pub fn verify(&mut self) {
        let (message, signature) = &self.signed[self.next % self.signed.len()];
        self.next += 1;
        let result = self.key.verify(message.as_bytes(), signature);
        result.expect("it is valid");
    }
}

/// Calls the service, which responds at once.
#[inline(never)]
pub fn call<S, B>(service: &mut S, request: Request<()>) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut context) else {
        panic!("it is always ready");
    };
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("nothing has to be waited for"),
    }
}
