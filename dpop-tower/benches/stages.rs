//! The cost of each stage of a request, and of the raw signature verification for comparison.
//!
//! Run `cargo bench -p dpop-tower --no-default-features --features aws-lc-rs,josekit,test-util`. The
//! ratios in docs/performance.md are measured by tests/performance, in alternating batches.

use std::{
    convert::Infallible,
    future::{Future as _, Ready, ready},
    hint::black_box,
    num::NonZeroUsize,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dpop_tower::{
    Dpop, DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin, ResponseBody,
    clock::{SystemClock, TimeSource as _},
    crypto::{AwsLcRs, CryptoProvider, Josekit},
    jwk::{PublicJwk, Thumbprint},
    proof::{Ath, Htu, ProofContext, ProofVerifier},
    replay::{MemoryReplayStore, ReplayKey, ReplayStore as _, UsedProof},
    test_util::{KeyKind, TestClient, TestIssuer},
};
use http::{Method, Request, Response};
use tower::{Layer as _, Service as _, service_fn, util::ServiceFn};

const ORIGIN: &str = "https://api.example.com";
const URL: &str = "https://api.example.com/orders/42";
const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"}"#;

type Inner = ServiceFn<fn(Request<()>) -> Ready<Result<Response<()>, Infallible>>>;

fn backends() -> [(&'static str, Arc<dyn CryptoProvider>); 2] {
    [
        ("aws-lc-rs", Arc::new(AwsLcRs)),
        ("josekit", Arc::new(Josekit)),
    ]
}

/// Returns a service behind the layer. One client may fill the replay store.
fn service(tokens: Issuer, backend: &Arc<dyn CryptoProvider>, policy: Policy) -> Dpop<Inner> {
    fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
        ready(Ok(Response::new(())))
    }
    let room = NonZeroUsize::new(4_000_000).unwrap();
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens)
        .crypto(Arc::clone(backend))
        .danger_max_age(Duration::from_secs(3600))
        .replay_store(MemoryReplayStore::with_capacity(room).capacity_per_key(room));
    DpopLayer::new(config.build().unwrap())
        .with_policy(policy)
        .layer(service_fn(answer))
}

fn call(service: &mut Dpop<Inner>, request: Request<()>) -> Response<ResponseBody<()>> {
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => panic!("nothing has to be waited for"),
    }
}

/// The stages that need no key, in the order of a request.
fn parsing(criterion: &mut Criterion) {
    let client = TestClient::new();
    let token = TestIssuer::new().token().bound_to(&client).mint();
    let proof = client.proof("GET", URL).access_token(&token).sign();
    let htu = Htu::parse(URL).unwrap();
    let policy = ProofVerifier::default()
        .danger_max_age(Duration::from_secs(3600))
        .unwrap();
    let ath = Ath::of(&token, &AwsLcRs);
    let mut group = criterion.benchmark_group("parsing");
    for (backend, crypto) in backends() {
        group.bench_function(format!("ath, {backend}"), |b| {
            b.iter(|| Ath::of(black_box(&token), &crypto));
        });
    }
    group.bench_function("htu", |b| b.iter(|| Htu::parse(black_box(URL))));
    group.bench_function("key and thumbprint", |b| {
        b.iter(|| {
            let key = PublicJwk::from_json(black_box(JWK)).unwrap();
            Thumbprint::of(&key, &AwsLcRs)
        });
    });
    group.bench_function("proof, all but the signature", |b| {
        b.iter(|| {
            let context = ProofContext::new(&Method::GET, &htu, SystemClock.now());
            policy
                .check(black_box(&proof), &context.access_token(ath), &AwsLcRs)
                .unwrap()
        });
    });
    group.finish();
}

fn replay(criterion: &mut Criterion) {
    let store = MemoryReplayStore::with_capacity(NonZeroUsize::new(1_000_000).unwrap());
    let start = SystemClock.now();
    let mut count = 0_u64;
    let mut group = criterion.benchmark_group("replay store");
    // A thousand clients, with a thousand requests per second each.
    group.bench_function("insertion", |b| {
        b.iter(|| {
            count += 1;
            let mut client = [0; 32];
            client[..8].copy_from_slice(&(count % 1_000).to_le_bytes());
            let now = start.saturating_add(Duration::from_secs(count / 10_000));
            let expires_at = now.saturating_add(Duration::from_secs(75));
            let key = ReplayKey::new(client, &count.to_string(), &AwsLcRs);
            pin!(store.check_and_insert(UsedProof {
                key,
                now,
                expires_at
            }))
            .poll(&mut Context::from_waker(Waker::noop()))
        });
    });
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    for (backend, verifier) in backends() {
        let mut group = criterion.benchmark_group(format!("raw verification, {backend}"));
        for issuer in signed::issuers() {
            let signed = issuer.sign();
            let key = PublicJwk::from_json(&signed.jwk).unwrap();
            let key = verifier.prepare(&key, signed.algorithm).unwrap();
            group.bench_function(issuer.name, |b| {
                b.iter(|| {
                    let message = black_box(signed.message.as_bytes());
                    key.verify(message, &signed.signature).unwrap();
                });
            });
        }
        group.finish();
    }
}

/// Bearer tokens, which need no proof.
fn tokens(criterion: &mut Criterion) {
    for (backend, verifier) in backends() {
        let mut group = criterion.benchmark_group(format!("unbound token, {backend}"));
        let request = |token: &str| {
            let request = Request::get(URL).header("authorization", format!("Bearer {token}"));
            request.body(()).unwrap()
        };
        for issuer in signed::issuers() {
            let mut service = service(issuer.tokens(), &verifier, Policy::optional());
            let mut count = 0;
            group.bench_function(format!("{}, new", issuer.name), |b| {
                b.iter_batched(
                    || {
                        count += 1;
                        request(&issuer.mint(count))
                    },
                    |request| assert_eq!(call(&mut service, request).status(), 200),
                    BatchSize::SmallInput,
                );
            });
            let known = issuer.mint(0);
            group.bench_function(format!("{}, known", issuer.name), |b| {
                b.iter_batched(
                    || request(&known),
                    |request| assert_eq!(call(&mut service, request).status(), 200),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

fn layer(criterion: &mut Criterion) {
    for (backend, verifier) in backends() {
        let mut group = criterion.benchmark_group(format!("layer, {backend}"));
        for (name, kind) in [("ES256", KeyKind::P256), ("Ed25519", KeyKind::Ed25519)] {
            let (issuer, client) = (TestIssuer::new(), TestClient::with_key(kind));
            let token = issuer.token().subject("alice").bound_to(&client).mint();
            let mut service = service(issuer.tokens(), &verifier, Policy::strict());
            group.bench_function(format!("{name}, key and token known"), |b| {
                b.iter_batched(
                    || client.get(URL, &token),
                    |request| assert_eq!(call(&mut service, request).status(), 200),
                    BatchSize::SmallInput,
                );
            });
            group.bench_function(format!("{name}, key and token new"), |b| {
                b.iter_batched(
                    || {
                        let client = TestClient::with_key(kind);
                        let token = issuer.token().subject("alice").bound_to(&client).mint();
                        client.get(URL, &token)
                    },
                    |request| assert_eq!(call(&mut service, request).status(), 200),
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

/// Signatures and tokens of every common algorithm, made by josekit.
mod signed {
    use dpop_tower::{
        Issuer,
        clock::{SystemClock, TimeSource as _},
        crypto::Algorithm,
    };
    use josekit::{
        jwk::{Jwk, alg::ed::EdCurve},
        jws::{ES256, EdDSA, JwsHeader, JwsSigner, PS256, RS256},
        jwt::{self, JwtPayload},
    };
    use serde_json::json;

    use super::ORIGIN;

    const ISSUER: &str = "https://issuer.test";

    pub(super) struct Signed {
        pub(super) jwk: String,
        pub(super) algorithm: Algorithm,
        pub(super) message: String,
        pub(super) signature: Vec<u8>,
    }

    pub(super) struct SigningIssuer {
        pub(super) name: &'static str,
        jwk: Jwk,
        algorithm: Algorithm,
        signer: Box<dyn JwsSigner>,
    }

    pub(super) fn issuers() -> [SigningIssuer; 4] {
        let issuer = |name, algorithm, jwk: Jwk, signer| SigningIssuer {
            name,
            jwk: jwk.to_public_key().unwrap(),
            algorithm,
            signer,
        };
        let ec = ES256.generate_key_pair().unwrap().to_jwk_key_pair();
        let ed = EdDSA.generate_key_pair(EdCurve::Ed25519).unwrap();
        let ed = ed.to_jwk_key_pair();
        let rsa = RS256.generate_key_pair(2048).unwrap().to_jwk_key_pair();
        let pss = PS256.generate_key_pair(2048).unwrap().to_jwk_key_pair();
        let es256 = Box::new(ES256.signer_from_jwk(&ec).unwrap());
        let eddsa = Box::new(EdDSA.signer_from_jwk(&ed).unwrap());
        let rs256 = Box::new(RS256.signer_from_jwk(&rsa).unwrap());
        let ps256 = Box::new(PS256.signer_from_jwk(&pss).unwrap());
        [
            issuer("ES256", Algorithm::Es256, ec, es256),
            issuer("EdDSA", Algorithm::EdDsa, ed, eddsa),
            issuer("RS256", Algorithm::Rs256, rsa, rs256),
            issuer("PS256", Algorithm::Ps256, pss, ps256),
        ]
    }

    impl SigningIssuer {
        pub(super) fn sign(&self) -> Signed {
            // About as long as a proof.
            let message = "m".repeat(500);
            Signed {
                jwk: self.jwk.to_string(),
                algorithm: self.algorithm,
                signature: self.signer.sign(message.as_bytes()).unwrap(),
                message,
            }
        }

        pub(super) fn tokens(&self) -> Issuer {
            let keys = json!({ "keys": [self.jwk.as_ref()] }).to_string();
            Issuer::new(ISSUER).jwks(keys).audience(ORIGIN)
        }

        /// Returns a different token for each number.
        pub(super) fn mint(&self, number: u64) -> String {
            let now = SystemClock.now().as_secs();
            let claims = json!({
                "iss": ISSUER,
                "aud": ORIGIN,
                "sub": "alice",
                "client_id": "shop",
                "iat": now,
                "exp": now + 3600,
                "jti": number.to_string(),
            });
            let claims = JwtPayload::from_map(claims.as_object().unwrap().clone()).unwrap();
            let mut header = JwsHeader::new();
            header.set_token_type("at+jwt");
            jwt::encode_with_signer(&claims, &header, &*self.signer).unwrap()
        }
    }
}

criterion_group!(stages, parsing, replay, signatures, tokens, layer);
criterion_main!(stages);
